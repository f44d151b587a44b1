/** The newest report of each pod. A slow reader misses what was overtaken, never the newest. */
import { Effect, Queue, Stream } from "effect"
import type { PodReport } from "../PodReport.ts"

export interface ReportBoard {
  readonly put: (report: PodReport) => void
  readonly remove: (uid: string) => void
  /** All at first, then changes; one subscriber. */
  readonly reports: Stream.Stream<PodReport>
}

export const makeReportBoard = Effect.gen(function*() {
  const newest = new Map<string, PodReport>()
  /** Insertion order is the order in which pods wait to be told. At most one entry per pod. */
  const changed = new Set<string>()
  const signal = yield* Queue.sliding<void>(1)

  const next: Effect.Effect<PodReport> = Effect.suspend(() => {
    for (const uid of changed) {
      changed.delete(uid)
      const report = newest.get(uid)
      if (report !== undefined) return Effect.succeed(report)
    }
    return Effect.flatMap(Queue.take(signal), () => next)
  })

  const board: ReportBoard = {
    put: (report) => {
      newest.set(report.uid, report)
      changed.add(report.uid)
      Queue.offerUnsafe(signal, undefined)
    },
    remove: (uid) => {
      newest.delete(uid)
      changed.delete(uid)
    },
    reports: Stream.suspend(() => {
      for (const uid of newest.keys()) changed.add(uid)
      return Stream.fromEffectRepeat(next)
    })
  }
  return board
})
