/** Tells the pod's status if it changed; the number of the report is in the journal before anybody sees it. */
import { Effect } from "effect"
import type { JournalError } from "../../agent/Journal.ts"
import { sameJson } from "../../kube/sameJson.ts"
import type { Waiting } from "./planPod.ts"
import { podStatus } from "./podStatus.ts"
import { savePod, stateOf, wallMillis, type Workbench } from "./Workbench.ts"

export const publishStatus = Effect.fnUntraced(
  function*(
    bench: Workbench,
    waiting: ReadonlyMap<string, Waiting>,
    finished: boolean
  ): Effect.fn.Return<void, JournalError> {
    const state = yield* stateOf(bench)
    const { assignment, pod } = state
    const status = podStatus({
      state,
      running: bench.running,
      waiting,
      sandbox: { ready: bench.sandbox?.ready ?? false, ips: bench.sandbox?.ips ?? [] },
      hostIPs: bench.host().addresses,
      runtimeName: bench.runtimeName,
      now: yield* wallMillis
    })
    if (pod.report !== undefined && pod.report.finished === finished && sameJson(pod.report.status, status)) return
    const { name, namespace, uid } = assignment
    const report = { uid, namespace, name, number: (pod.report?.number ?? 0) + 1, status, finished }
    // What is in the journal is told, whatever interrupts the work on the pod.
    yield* savePod(bench, (before) => ({ ...before, report })).pipe(
      Effect.andThen(Effect.sync(() => {
        bench.board.put(report)
        if (finished) bench.released()
      })),
      Effect.uninterruptible
    )
  }
)
