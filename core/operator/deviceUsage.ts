/**
 * What a device uses, as far as it is known: asked for only when somebody wants to know, by one question at a time, and no more often
 * than the owner allows. In between the last sample is the answer, with the time at which it was taken.
 */
import { Clock, Deferred, Duration, Effect, Exit, Option, Schema, SubscriptionRef } from "effect"
import type { LinkError, Session } from "../link/Session.ts"
import { nextSample, type NodeSample } from "../metrics/NodeSample.ts"
import { monotonicMillis } from "../pod/machine/Workbench.ts"
import { measure, restored, type UsageFigures, usageOf } from "../wire/usage.ts"
import { askDevice } from "./askDevice.ts"
import type { DeviceContext } from "./DeviceContext.ts"
import { OperatorSettings } from "./OperatorSettings.ts"
import { PodIndex } from "./PodIndex.ts"

/** There is no sample that is new enough, and none can be had now; the detail is a sentence for whoever scrapes. */
export class UsageUnavailable extends Schema.TaggedError<UsageUnavailable>()("UsageUnavailable", {
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}

/** A scraper does not wait as long; its next scrape finds the answer. */
const answerMillis = 30_000

/** Less is drift, which the offset of the device's clock leaves alone, too. */
const tolerableMillis = 2000

export interface DeviceUsageKnown {
  /** A sample no older than the interval; waits for the device where one has to be taken. */
  readonly sample: Effect.Effect<NodeSample, UsageUnavailable>
  /** The last one, however old. */
  readonly last: () => NodeSample | undefined
  /** A session began, with an agent of these capabilities. */
  readonly linked: (capabilities: ReadonlyArray<string>) => void
}

/** Lives as long as the scope: a question goes on when who asked has left. */
export const deviceUsage = Effect.fnUntraced(function*(context: DeviceContext) {
  const { metricsMinInterval = "5 minutes" } = yield* OperatorSettings
  const interval = Duration.toMillis(Duration.fromInputUnsafe(metricsMinInterval))
  const index = yield* PodIndex
  const scope = yield* Effect.scope
  const unavailable = (detail: string) => new UsageUnavailable({ detail })
  const away = unavailable(`device ${context.name} is not connected: there are no measurements until it is back`)

  let capable = true
  let known: NodeSample | undefined
  let figures: UsageFigures | undefined
  /** Of the last question that cost the line something, answered or not. */
  let asked: { readonly at: number; readonly session: Session } | undefined
  let failure: UsageUnavailable | undefined
  let asking: Deferred.Deferred<NodeSample, UsageUnavailable> | undefined

  const said = (error: LinkError): UsageUnavailable => {
    switch (error.reason) {
      case "OverBudget":
        asked = undefined
        return unavailable(error.detail)
      case "SessionLost":
      case "Closed":
        return away
      case "Timeout":
        return unavailable(`device ${context.name} did not answer in ${answerMillis / 1000} s what it uses`)
      case "Refused":
      case "Overloaded":
      case "TooLarge":
        return unavailable(`device ${context.name}: ${error.detail}`)
    }
  }

  /** A device may answer before it has told that its clock was set: a sample is taken between the question and its answer. */
  const offsetOf = Effect.fnUntraced(function*(at: number, askedAt: number) {
    const offset = context.clockOffset()
    const arrived = yield* Clock.currentTimeMillis
    const age = arrived - (at + offset)
    const oldest = (yield* monotonicMillis) - askedAt
    return age < -tolerableMillis || age > oldest + tolerableMillis ? arrived - at : offset
  })

  const ask = Effect.fnUntraced(function*(session: Session) {
    const askedAt = yield* monotonicMillis
    const reply = yield* askDevice(session, { _tag: "Measure", base: figures?.at ?? 0 }, {
      priority: "bulk",
      traffic: "metrics",
      timeoutMillis: answerMillis
    }).pipe(Effect.mapError(said))
    const whole = reply._tag === "Usage" ? restored(reply.figures, figures) : undefined
    if (whole === undefined) {
      figures = undefined
      return yield* unavailable(`device ${context.name} answered something else than what it uses`)
    }
    figures = whole
    known = nextSample(known, usageOf(whole), {
      offset: yield* offsetOf(whole.at, askedAt),
      exists: (uid) => index.byUid(uid) !== undefined
    })
    return known
  })

  const sample = Effect.gen(function*() {
    if (asking !== undefined) return yield* Deferred.await(asking)
    const now = yield* monotonicMillis
    const session = SubscriptionRef.getUnsafe(context.session)
    if (asked !== undefined && now - asked.at < interval) {
      if (failure === undefined && known !== undefined) return known
      // What failed with a session that is over may be asked of the next one.
      if (failure !== undefined && (session === undefined || session === asked.session)) return yield* failure
    }
    if (session === undefined || !SubscriptionRef.getUnsafe(session.connected)) return yield* away
    if (!capable) {
      return yield* unavailable(`the agent of device ${context.name} cannot measure what it uses: update arhat`)
    }
    const answer = Deferred.makeUnsafe<NodeSample, UsageUnavailable>()
    asking = answer
    asked = { at: now, session }
    yield* ask(session).pipe(
      Effect.onExit((exit) => {
        asking = undefined
        // The operator, or the serving of this device, ends.
        const ending = Exit.hasInterrupts(exit)
        failure = Exit.isSuccess(exit) ? undefined : Option.getOrElse(Exit.findErrorOption(exit), () => away)
        return ending ? Deferred.fail(answer, away) : Deferred.done(answer, exit)
      }),
      Effect.forkIn(scope)
    )
    return yield* Deferred.await(answer)
  })

  const usage: DeviceUsageKnown = {
    sample,
    last: () => known,
    linked: (capabilities) => {
      capable = capabilities.includes(measure)
    }
  }
  return usage
})
