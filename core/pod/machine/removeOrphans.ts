/** Removes what is ours in the runtime and on the disk and belongs to no pod that is known: left by a crash or a lost journal. */
import { Effect } from "effect"
import type { Machine } from "./Workbench.ts"

/** Failures wait for the next round. */
export const removeOrphans = (machine: Machine) =>
  removePods(
    machine,
    (uid) => machine.store.get(uid) === undefined && !machine.store.unreadable.has(uid),
    machine.options.orphanGraceSeconds
  )

/** Looks first and asks before each step whether it may, so that a pod that came meanwhile keeps what it has. */
export const removePods = Effect.fnUntraced(function*(
  { files, runtime }: Machine,
  mayGo: (uid: string) => boolean,
  graceSeconds: number
) {
  const containers = yield* runtime.containers()
  const sandboxes = yield* runtime.sandboxes()
  const pods = yield* files.pods
  const unlessKept = <E>(uid: string, step: Effect.Effect<void, E>) =>
    Effect.suspend(() => mayGo(uid) ? step : Effect.void)

  yield* Effect.forEach(
    containers,
    ({ id, state, uid }) =>
      Effect.andThen(
        state === "exited" || state === "created" ? Effect.void : unlessKept(uid, runtime.stop(id, graceSeconds)),
        unlessKept(uid, runtime.remove(id))
      ),
    { concurrency: "unbounded", discard: true }
  )
  for (const { id, uid } of sandboxes) yield* unlessKept(uid, runtime.removeSandbox(id))
  for (const uid of pods) yield* unlessKept(uid, files.remove(uid))
})
