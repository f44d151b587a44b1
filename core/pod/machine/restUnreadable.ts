/**
 * What runs of pods whose rows cannot be read ends while workloads rest: another may have taken its place, and who ends a pod by its
 * rows does not know of it.
 */
import { Effect } from "effect"
import type { Machine } from "./Workbench.ts"

/** Stops what runs now, each whatever becomes of the others; of a pod that is assigned anew, or once work goes on, nothing more. */
export const restUnreadable = Effect.fnUntraced(function*({ options, resting, runtime, store }: Machine) {
  const containers = yield* runtime.containers()
  const ended = yield* Effect.forEach(
    containers.filter(({ state, uid }) => store.unreadable.has(uid) && state !== "exited" && state !== "created"),
    ({ id, uid }) =>
      Effect.suspend(() =>
        resting() && store.unreadable.has(uid)
          ? Effect.exit(runtime.stop(id, options.orphanGraceSeconds))
          : Effect.void
      ),
    { concurrency: "unbounded" }
  )
  for (const exit of ended) yield* exit ?? Effect.void
})
