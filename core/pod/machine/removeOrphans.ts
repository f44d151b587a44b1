/** Removes what is ours in the runtime and on the disk and belongs to no pod that is known: left by a crash or a lost journal. */
import { Effect } from "effect"
import type { Machine } from "./Workbench.ts"

/** Looks first and asks the memory after, so that a pod that just came is never mistaken. Failures wait for the next round. */
export const removeOrphans = Effect.fnUntraced(function*(machine: Machine) {
  const { files, options, runtime, store } = machine
  const containers = yield* runtime.containers()
  const sandboxes = yield* runtime.sandboxes
  const pods = yield* files.pods
  const known = (uid: string) => store.get(uid) !== undefined || store.unreadable.has(uid)

  yield* Effect.forEach(
    containers.filter(({ uid }) => !known(uid)),
    ({ id, state }) =>
      Effect.andThen(
        state === "exited" || state === "created" ? Effect.void : runtime.stop(id, options.orphanGraceSeconds),
        runtime.remove(id)
      ),
    { concurrency: "unbounded", discard: true }
  )
  for (const { id, uid } of sandboxes) if (!known(uid)) yield* runtime.removeSandbox(id)
  for (const uid of pods) if (!known(uid)) yield* files.remove(uid)
})
