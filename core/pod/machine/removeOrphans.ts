/** Removes what is ours in the runtime and on the disk and belongs to no pod that is known: left by a crash or a lost journal. */
import { Effect } from "effect"
import type { RuntimeError } from "../ContainerRuntime.ts"
import type { FilesError } from "../PodFiles.ts"
import type { Machine } from "./Workbench.ts"

/** Failures wait for the next round. */
export const removeOrphans = (machine: Machine) =>
  removePods(
    machine,
    (uid) => machine.store.get(uid) === undefined && !machine.store.unreadable.has(uid),
    machine.options.orphanGraceSeconds
  )

/**
 * Looks first and asks before each step whether it may, so that a pod that came meanwhile keeps what it has. What cannot go keeps its
 * own pod's things, and no other pod's.
 */
export const removePods = Effect.fnUntraced(function*(
  { files, runtime }: Pick<Machine, "files" | "runtime">,
  mayGo: (uid: string) => boolean,
  graceSeconds: number
) {
  const containers = yield* runtime.containers()
  const sandboxes = yield* runtime.sandboxes()
  const pods = yield* files.pods
  const failures = new Map<string, RuntimeError | FilesError>()
  const step = (uid: string, work: Effect.Effect<void, RuntimeError | FilesError>) =>
    Effect.suspend(() =>
      mayGo(uid) && !failures.has(uid)
        ? Effect.catch(work, (error) => Effect.sync(() => void failures.set(uid, error)))
        : Effect.void
    )

  yield* Effect.forEach(
    containers,
    ({ id, state, uid }) =>
      Effect.andThen(
        state === "exited" || state === "created" ? Effect.void : step(uid, runtime.stop(id, graceSeconds)),
        step(uid, runtime.remove(id))
      ),
    { concurrency: "unbounded", discard: true }
  )
  for (const { id, uid } of sandboxes) yield* step(uid, runtime.removeSandbox(id))
  for (const uid of pods) yield* step(uid, files.remove(uid))
  for (const error of failures.values()) return yield* Effect.fail(error)
})
