/** Ends a pod: containers first, then the final status, then everything it had on the device. */
import { Effect } from "effect"
import type { JournalError } from "../../agent/Journal.ts"
import type { RuntimeError } from "../ContainerRuntime.ts"
import type { FilesError } from "../PodFiles.ts"
import { collectGarbage } from "./collectGarbage.ts"
import { observeSandbox } from "./ensureSandbox.ts"
import { observeContainers } from "./observeContainers.ts"
import type { Waiting } from "./planPod.ts"
import { publishStatus } from "./publishStatus.ts"
import { stopContainer } from "./stopContainer.ts"
import { leaveWork, monotonicMillis, savePod, stateOf, type Workbench } from "./Workbench.ts"

type Failure = RuntimeError | JournalError | FilesError

const none: ReadonlyMap<string, Waiting> = new Map()

/** Milliseconds until it is to be called again; what it waits for wakes it earlier. */
// A preStop hook is to run here, within the grace; sidecars are to end after the regular containers, in reverse order.
export const terminatePod = Effect.fnUntraced(function*(bench: Workbench): Effect.fn.Return<number, Failure> {
  yield* leaveWork(bench)
  bench.waiting.clear()
  // A sandbox that cannot be noted is removed all the same.
  yield* Effect.catchTag(observeSandbox(bench), "JournalError", () => Effect.void)
  const { containers, refused } = yield* observeContainers(bench)
  const { pod } = yield* stateOf(bench)
  const { graceSeconds, since } = pod.ending ?? { graceSeconds: 1, since: 0 }
  const grace = Math.max(1, graceSeconds) * 1000
  // In another boot the moment it began means nothing; it then begins now.
  const deadline = Math.min(since, yield* monotonicMillis) + grace

  let live = false
  for (const container of containers) {
    if (container.state === "exited") continue
    if (container.state === "created") {
      // It must not be started any more by a call that is still on its way.
      yield* bench.runtime.remove(container.id)
      continue
    }
    live = true
    yield* stopContainer(bench, container, deadline, `Stopping container ${container.container}`)
  }
  if (live) {
    if (refused !== undefined) return yield* refused
    yield* publishStatus(bench, none, false)
    return Number.POSITIVE_INFINITY
  }
  yield* (refused ?? savePod(bench, (before) => ({ ...before, stage: "Terminated" }))).pipe(
    // Nobody wants its files any more, and they may be what fills the disk.
    Effect.tapError(() => pod.ending?.deleted === true ? removeFiles(bench) : Effect.void)
  )
  return 0
})

/** With the sandbox, which may hold them. */
const removeFiles = Effect.fnUntraced(function*(bench: Workbench): Effect.fn.Return<void, RuntimeError | FilesError> {
  for (const { id } of yield* bench.runtime.sandboxes(bench.uid)) yield* bench.runtime.removeSandbox(id)
  bench.sandbox = undefined
  yield* bench.files.remove(bench.uid)
})

/** The last part of the way: told first, then cleaned up, then told that it is done. */
export const clearPod = Effect.fnUntraced(function*(bench: Workbench): Effect.fn.Return<number, Failure> {
  const { pod } = yield* stateOf(bench)
  const finished = pod.report?.finished === true
  if (!finished) {
    bench.running = new Map()
    yield* Effect.tapError(publishStatus(bench, none, false), () => removeFiles(bench))
    yield* removeFiles(bench)
    yield* collectGarbage(bench, yield* bench.runtime.containers(bench.uid))
  }
  // Without a deletion dead containers stay: their logs can still be read.
  if (pod.ending?.deleted === true && !pod.containersRemoved) {
    for (const { id } of yield* bench.runtime.containers(bench.uid)) yield* bench.runtime.remove(id)
    yield* savePod(bench, (before) => ({ ...before, containersRemoved: true }))
  }
  if (!finished) yield* publishStatus(bench, none, true)
  return Number.POSITIVE_INFINITY
})
