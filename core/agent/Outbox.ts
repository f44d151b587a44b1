/**
 * The newest report of each pod until the operator has taken it. Only that a report was taken is remembered in the journal: the
 * reports themselves follow from the pods' own rows, and a report sent twice changes nothing.
 */
import { Context, Effect, Layer, Queue, Schedule, Semaphore } from "effect"
import type { PodReport } from "../pod/PodReport.ts"
import { Journal } from "./Journal.ts"

/** A start that goes well says nothing that the next report does not say too: it waits so long for that one. */
const mayPass = "1 second"
/** What happens in one go, such as started and ready, is told in one go. */
const gathering = "25 millis"

const again = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")]).pipe(Schedule.jittered)

const goingWell = new Set(["ContainerCreating", "PodInitializing"])

/** Whether it tells of nothing but a pod on its way: no container has begun, and none is in trouble. */
const isOnItsWay = ({ finished, status }: PodReport): boolean => {
  const containers = [
    ...status.initContainerStatuses ?? [],
    ...status.containerStatuses ?? [],
    ...status.ephemeralContainerStatuses ?? []
  ]
  return !finished && status.phase === "Pending" && status.reason === undefined &&
    containers.every(({ lastState, state }) =>
      goingWell.has(state?.waiting?.reason ?? "") && (state?.waiting?.message ?? "") === "" &&
      lastState?.terminated === undefined
    )
}

export class Outbox extends Context.Service<Outbox, {
  readonly put: (report: PodReport) => Effect.Effect<void>
  /**
   * The oldest untaken report whose pod is not being sent already; waits for one. To be asked where nothing can interrupt between the
   * report and what is done with it: `taken` or `failed` has to follow.
   */
  readonly next: Effect.Effect<PodReport>
  /** The operator has this one (a newer may have come meanwhile). */
  readonly taken: (report: PodReport) => Effect.Effect<void>
  /** It could not be delivered: it is due again. */
  readonly failed: (report: PodReport) => Effect.Effect<void>
  /** The operator asks to hear everything again. */
  readonly repeatAll: Effect.Effect<void>
  readonly forget: (uid: string) => Effect.Effect<void>
  /** Number of the newest report of a pod, 0 when there is none. */
  readonly newest: (uid: string) => number
  /** Whether its newest report says that nothing of the pod is left. */
  readonly finished: (uid: string) => boolean
}>()("aranya/agent/Outbox") {
  static readonly layer = Layer.effect(
    Outbox,
    Effect.gen(function*() {
      const journal = yield* Journal
      const scope = yield* Effect.scope
      const due = yield* Queue.sliding<void>(1)
      /** One row at a time: what is noted of a pod that is forgotten meanwhile would never go. */
      const noting = yield* Semaphore.make(1)
      const newest = new Map<string, PodReport>()
      const taken = new Map<string, number>()
      /** Insertion order is the order in which pods wait. */
      const waiting = new Set<string>()
      const sending = new Set<string>()
      /** Pods with a report that waits to be overtaken, and with one that waits for what happens with it. */
      const passing = new Set<string>()
      const gathered = new Set<string>()

      /** Nobody asks for it twice, and a row that outlived its pod would stay for ever. */
      const forgetRow = (uid: string) => {
        const removed = Effect.suspend(() =>
          newest.has(uid) ? Effect.void : journal.commit([{ _tag: "Remove", table: "reports", key: uid }])
        ).pipe(noting.withPermit)
        return removed.pipe(
          Effect.tapError((error) =>
            Effect.logWarning(`a forgotten report stays in the journal for now: ${error.message}`)
          ),
          Effect.catch(() => removed.pipe(Effect.retry(again), Effect.orDie, Effect.forkIn(scope), Effect.asVoid))
        )
      }

      const held = new Set((yield* journal.rows("assignments")).map(({ key }) => key))
      for (const { key, value } of yield* journal.rows("reports")) {
        if (held.has(key)) taken.set(key, Number(new TextDecoder().decode(value)) || 0)
        // The agent ended after it had forgotten the pod, and before its report.
        else yield* Effect.forkIn(forgetRow(key), scope)
      }

      const queue = (uid: string) => {
        const report = newest.get(uid)
        if (report === undefined || sending.has(uid) || (taken.get(uid) ?? 0) >= report.number) return Effect.void
        waiting.add(uid)
        return Effect.asVoid(Queue.offer(due, undefined))
      }

      const put = Effect.fnUntraced(function*(report: PodReport) {
        newest.set(report.uid, report)
        const [waits, pause] = isOnItsWay(report) ? [passing, mayPass] as const : [gathered, gathering] as const
        // Not put off again by the next one: whichever is newest then is told.
        if (waits.has(report.uid)) return
        waits.add(report.uid)
        yield* Effect.sync(() => waits.delete(report.uid)).pipe(
          Effect.andThen(Effect.suspend(() => queue(report.uid))),
          Effect.delay(pause),
          Effect.forkIn(scope)
        )
      })

      /** From the choice on nothing comes between: one that was chosen and not handed over would wait for ever. */
      const next: Effect.Effect<PodReport> = Effect.uninterruptible(Effect.gen(function*() {
        while (true) {
          for (const uid of waiting) {
            waiting.delete(uid)
            const report = newest.get(uid)
            if (report === undefined) continue
            sending.add(uid)
            // Several senders may wait: wake the next one as long as there is work.
            if (waiting.size > 0) Queue.offerUnsafe(due, undefined)
            return report
          }
          yield* Effect.interruptible(Queue.take(due))
        }
      }))

      const settle = (uid: string) => Effect.suspend(() => (sending.delete(uid), queue(uid)))

      return Outbox.of({
        put,
        next,
        taken: Effect.fnUntraced(function*(report) {
          if (newest.has(report.uid)) {
            taken.set(report.uid, Math.max(taken.get(report.uid) ?? 0, report.number))
            yield* journal.commit([{
              _tag: "Put",
              table: "reports",
              key: report.uid,
              value: new TextEncoder().encode(String(report.number)),
              secret: false
            }]).pipe(
              // Forgotten over a restart, the report is sent once more: harmless.
              Effect.catch((error) => Effect.logWarning(`a taken report was not noted: ${error.message}`))
            )
          }
          yield* settle(report.uid)
        }, noting.withPermit),
        failed: (report) => settle(report.uid),
        repeatAll: Effect.suspend(() => {
          taken.clear()
          return Effect.forEach([...newest.keys()], queue, { discard: true })
        }),
        forget: Effect.fnUntraced(function*(uid) {
          newest.delete(uid)
          taken.delete(uid)
          waiting.delete(uid)
          yield* forgetRow(uid)
        }),
        newest: (uid) => newest.get(uid)?.number ?? 0,
        finished: (uid) => newest.get(uid)?.finished ?? false
      })
    })
  )
}
