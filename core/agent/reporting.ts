/** Tells the operator, while a session lasts, what changed: the host, pods' states, pods' events. */
import { Duration, Effect, Schedule, Stream, SubscriptionRef } from "effect"
import { Cryptography } from "../link/Cryptography.ts"
import { LinkError, type Session } from "../link/Session.ts"
import { ContainerRuntime, RuntimeError } from "../pod/ContainerRuntime.ts"
import type { PodReport } from "../pod/PodReport.ts"
import { encodeEvent, type Event, type NodeReport } from "../wire/Event.ts"
import { decodeReply } from "../wire/Reply.ts"
import { ReportBases, reportDelta } from "../wire/ReportBases.ts"
import { AgentSettings } from "./AgentSettings.ts"
import { EventRing } from "./EventRing.ts"
import { HostFacts } from "./HostFacts.ts"
import { type HostTeller, makeHostTeller } from "./hostTeller.ts"
import { Outbox } from "./Outbox.ts"

/** Events per message. */
const eventsAtOnce = 64

/** What happened waits so long for a report of where it led to. */
const eventPatience = 1000

/** The host is told of without its runtime if that does not answer by then: what pods do is told after it. */
const runtimeWait = "10 seconds"

/** Between tries of something the operator could not take just now. */
const again = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("30 seconds")]).pipe(Schedule.jittered)
/** Of events, which are many and keep: an operator that cannot write them for hours is not sent all of them each time. */
const sometime = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("5 minutes")]).pipe(Schedule.jittered)

export const reporting = Effect.fnUntraced(function*(
  /** Whether workloads rest for want of the operator; told at once. */
  resting: SubscriptionRef.SubscriptionRef<boolean>,
  /** How often the operator has asked to be told of the host again. */
  asked: SubscriptionRef.SubscriptionRef<number>
) {
  const settings = yield* AgentSettings
  const host = yield* HostFacts
  const containers = yield* ContainerRuntime
  const outbox = yield* Outbox
  const ring = yield* EventRing
  const cryptography = yield* Cryptography
  const timeoutMillis = Duration.toMillis(Duration.fromInputUnsafe(settings.reportTimeout))

  /** Completes when the operator has acted on it. `Refused` where it never will. */
  const tell = (session: Session, event: Event, patienceMillis = 0) =>
    Effect.flatMap(encoded(event), (message) => say(session, message, patienceMillis))

  const encoded = (event: Event) =>
    Effect.mapError(encodeEvent(event), (error) => new LinkError({ reason: "Refused", detail: error.message }))

  const say = Effect.fnUntraced(function*(session: Session, message: Uint8Array, patienceMillis = 0) {
    const answer = yield* session.request(message, { priority: "command", timeoutMillis, patienceMillis })
    const reply = yield* Effect.mapError(
      decodeReply(answer),
      (error) => new LinkError({ reason: "Refused", detail: error.message })
    )
    if (reply._tag !== "Failure") return
    return yield* new LinkError({
      reason: reply.code === "Unavailable" ? "Overloaded" : "Refused",
      detail: reply.detail
    })
  })

  const sessionEnded = (error: LinkError) => error.reason === "SessionLost" || error.reason === "Closed"

  const observe = Effect.gen(function*(): Effect.fn.Return<Omit<NodeReport, "at">> {
    const runtime = yield* containers.info.pipe(
      Effect.timeoutOrElse({
        duration: runtimeWait,
        orElse: () => Effect.fail(new RuntimeError({ reason: "Unavailable", detail: `no answer in ${runtimeWait}` }))
      }),
      Effect.catch((error) =>
        Effect.as(Effect.logWarning(`the container runtime does not answer: ${error.message}`), undefined)
      )
    )
    return {
      host: yield* host.info,
      pressure: yield* host.pressure,
      runtime: runtime ?? { name: "", version: "" },
      agentVersion: settings.version,
      ...((yield* SubscriptionRef.get(resting)) ? { resting: true } : {})
    }
  })

  /** Looked at from time to time, when asked, and at once when workloads begin to rest: the operator is what ends that. */
  const hostReports = Effect.fnUntraced(function*(host: HostTeller) {
    let answered = yield* SubscriptionRef.get(asked)
    while (true) {
      const before = yield* SubscriptionRef.get(resting)
      const question = yield* SubscriptionRef.get(asked)
      yield* question === answered ? host.look : host.repeat
      answered = question
      yield* Stream.merge(
        Stream.filter(SubscriptionRef.changes(resting), (rests) => rests !== before),
        Stream.filter(SubscriptionRef.changes(asked), (number) => number !== question)
      ).pipe(
        Stream.runHead,
        Effect.timeoutOption(settings.hostPoll)
      )
    }
  })

  /** As what differs from the one before where the operator can read that and still has it, else whole. */
  const tellReport = Effect.fnUntraced(function*(session: Session, report: PodReport, bases: ReportBases | undefined) {
    const message = yield* encoded({ _tag: "PodReport", report })
    const delta = bases?.pack(report.uid, message)
    const short = delta && (yield* encoded({ _tag: "ReportDelta", uid: report.uid, ...delta }))
    if (short === undefined || short.length >= message.length) yield* say(session, message)
    else {
      yield* say(session, short).pipe(Effect.catchIf(
        (error) => error.reason === "Refused",
        () => Effect.suspend(() => (bases?.forget(report.uid), say(session, message)))
      ))
    }
    bases?.agree(report, message)
  })

  const podReports = (session: Session, host: HostTeller, bases: ReportBases | undefined) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const report = yield* outbox.next
        yield* restore(Effect.andThen(host.timed, tellReport(session, report, bases))).pipe(
          Effect.matchEffect({
            onSuccess: () => outbox.taken(report),
            onFailure: (error) =>
              Effect.gen(function*() {
                // What the operator can never take is dropped, with a word: the next change is told again.
                if (error.reason === "Refused") {
                  yield* Effect.logError(`the operator refuses the status of pod ${report.name}: ${error.detail}`)
                  return yield* outbox.taken(report)
                }
                yield* outbox.failed(report)
                return yield* Effect.fail(error)
              })
          }),
          Effect.onInterrupt(() => outbox.failed(report))
        )
      })
    )

  const podEvents = Effect.fnUntraced(function*(session: Session, host: HostTeller) {
    const events = yield* ring.oldest(eventsAtOnce)
    yield* host.timed
    yield* tell(session, { _tag: "PodEvents", events }, eventPatience).pipe(
      Effect.catch((error) =>
        error.reason === "Refused"
          ? Effect.logError(`the operator refuses events: ${error.detail}`)
          : Effect.fail(error)
      )
    )
    yield* ring.taken(events)
  })

  const patiently = <A>(work: Effect.Effect<A, LinkError>, schedule = again) =>
    work.pipe(
      Effect.tapError((error) => Effect.logDebug(`a report waits: ${error.message}`)),
      Effect.retry({ schedule, while: (error) => !sessionEnded(error) })
    )

  /** Runs until the session is over. */
  return (session: Session, capabilities: ReadonlyArray<string>): Effect.Effect<void> => {
    const bases = capabilities.includes(reportDelta) ? new ReportBases(cryptography) : undefined
    const host = makeHostTeller(observe, (report) => tell(session, { _tag: "NodeReport", report }))
    const pods = Effect.forever(patiently(podReports(session, host, bases)))
    return Effect.all([
      patiently(hostReports(host)),
      ...Array.from({ length: settings.reportsAtOnce }, () => pods),
      Effect.forever(patiently(podEvents(session, host), sometime))
    ], { concurrency: "unbounded", discard: true }).pipe(
      Effect.raceFirst(session.closed),
      // The session ended: everything untaken waits for the next one.
      Effect.catch((error) => Effect.logDebug(`reporting stops: ${error.message}`)),
      Effect.asVoid
    )
  }
})
