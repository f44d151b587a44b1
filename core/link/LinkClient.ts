/**
 * The device's end of its link: dials for ever, best method first, resumes its session or takes up a new one. Each method has
 * its own back-off, so that one that is down or turned away holds up nobody else.
 */
import { Clock, Effect, Exit, Fiber, Option, Scope, SubscriptionRef } from "effect"
import { Closed_Cause } from "../gen/aranya/link/v1/link_pb.ts"
import { backOff } from "./backOff.ts"
import { type Established, makeEstablish } from "./client/establish.ts"
import { type Failure, hopeless } from "./client/Failure.ts"
import { LastWord } from "./client/LastWord.ts"
import { MethodHealth, methodToDial, methodToReturnTo } from "./client/MethodHealth.ts"
import type { Cryptography } from "./Cryptography.ts"
import type { Identity } from "./handshake.ts"
import type { LinkMemory, OperatorHello } from "./Hello.ts"
import { LinkTimings } from "./LinkTimings.ts"
import type { SecureRandom } from "./SecureRandom.ts"
import type { Handlers, Session } from "./Session.ts"
import { carry, type Ending } from "./session/carry.ts"
import { monotonic } from "./session/LinkSession.ts"
import { Dialers, TransportError } from "./Transport.ts"

/** For status and logs. */
export type LinkState =
  | { readonly status: "Dialing"; readonly method: string }
  | { readonly status: "Connected"; readonly method: string; readonly connection: string }
  | {
    readonly status: "Waiting"
    readonly error: Failure
    readonly failures: number
    /** Milliseconds until the next attempt. */
    readonly retryMillis: number
  }

export interface LinkClient {
  /** Keeps the link up until interrupted; then it says farewell. */
  readonly run: Effect.Effect<never>
  /** The session that can be used, whether a connection carries it at this moment or not. */
  readonly current: SubscriptionRef.SubscriptionRef<Option.Option<Session>>
  readonly state: SubscriptionRef.SubscriptionRef<LinkState>
  /**
   * Monotonic milliseconds at which the newest thing left this device of which it knows that the operator has it; undefined
   * before there was any.
   */
  readonly acknowledgedAt: () => number | undefined
  /** Asks the operator for a word whenever that is older than this, in milliseconds; Infinity to ask as the beat does. */
  readonly askWithin: (millis: number) => void
}

export interface LinkClientOptions<R> extends Identity {
  readonly agentVersion: string
  readonly capabilities: ReadonlyArray<string>
  /** Asked when this side ends: whether the machine goes down with it. */
  readonly machineEnds?: Effect.Effect<boolean>
  /**
   * Called once per session. What the operator asks before this returns waits for it; the session can already be used.
   * The scope is closed when the session is over.
   */
  readonly onSession: (session: Session, hello: OperatorHello) => Effect.Effect<Handlers, never, R | Scope.Scope>
}

interface Using {
  readonly method: MethodHealth
  readonly established: Established
}

const make = Effect.fnUntraced(function*<R>(options: LinkClientOptions<R>) {
  yield* Effect.context<LinkMemory | Cryptography | SecureRandom | Exclude<R, Scope.Scope>>()
  const dialers = yield* Dialers
  const timings = yield* LinkTimings
  const now = monotonic(yield* Clock.Clock)
  const current = yield* SubscriptionRef.make(Option.none<Session>())
  const state = yield* SubscriptionRef.make<LinkState>({ status: "Dialing", method: dialers[0]?.method ?? "none" })
  const lastWord = new LastWord()
  const maxFrame = Math.min(...dialers.map((dialer) => dialer.maxFrame ?? Infinity))
  const establish = yield* makeEstablish(options, current, lastWord, maxFrame)
  const methods = dialers.map((dialer, rank) => new MethodHealth(dialer, rank, timings))
  const several = methods.length > 1

  /** One word when only a person can help a method, and none until it fares otherwise: the state speaks of all of them. */
  const failed = Effect.fnUntraced(function*(method: MethodHealth, error: Failure, awayMillis: number) {
    const before = method.error
    yield* method.failed(error, now(), awayMillis)
    const { method: name } = method.dialer
    if (several && method.setAside && before?.message !== error.message) {
      const most = timings.refusedRetryMillis / 60_000
      yield* Effect.logWarning(
        `method ${name} is set aside, the others go on: ${error.message}; it is tried again every ${
          most / 2
        } to ${most} minutes`
      )
    } else yield* Effect.logDebug(`No session by ${name}`, error.message)
  })

  /** While a lesser method carries, the better ones are tried from time to time, until one leads to a session. */
  const better = Effect.fnUntraced(function*(parent: Scope.Scope, using: MethodHealth, found: (next: Using) => void) {
    const candidates = methods.slice(0, using.rank)
    while (true) {
      const method = methodToReturnTo(candidates, now())
      if (method === undefined) return yield* Effect.never
      if (method.returnAt > now()) {
        yield* Effect.sleep(Math.max(1, method.returnAt - now()))
        continue
      }
      const result = yield* Effect.result(
        establish(parent, method.dialer, (established) => found({ method, established }))
      )
      if (result._tag === "Success") return
      yield* failed(method, result.failure, 0)
    }
  })

  const carried = ({ asked, connection, link, maxFrame, scope, welcomed }: Established): Effect.Effect<Ending> =>
    carry(link, connection, welcomed.sealing, {
      maxFrame,
      asked,
      peerReceived: welcomed.resumed ? welcomed.received : 0,
      cause: Effect.map(
        options.machineEnds ?? Effect.succeed(false),
        (machine) => machine ? Closed_Cause.MACHINE : Closed_Cause.PROGRAM
      )
    }).pipe(
      Effect.ensuring(Scope.close(scope, Exit.void))
    )

  /**
   * Lets a connection carry until it is lost. A better one takes the session over while the former still carries it: what
   * runs does not notice, and the former goes only then.
   */
  const use = Effect.fnUntraced(function*(parent: Scope.Scope, first: Using) {
    let using = first
    while (true) {
      const { established, method } = using
      const began = now()
      method.error = undefined
      const carrying = yield* Effect.forkIn(carried(established), parent, { startImmediately: true })
      yield* SubscriptionRef.set(state, {
        status: "Connected",
        method: method.dialer.method,
        connection: established.connection.description
      })
      let next: Using | undefined
      const ending = yield* Effect.raceFirst(
        Fiber.join(carrying),
        better(parent, method, (found) => {
          next = found
        })
      )
      const pause = ending === undefined ? 0 : yield* method.lost(ending.why, now() - began, now())
      if (next === undefined) return { pause, silent: ending?.silent === true ? method : undefined }
      using = next
    }
  })

  const run = Effect.gen(function*() {
    const parent = yield* Effect.scope
    let refusals = 0
    let refusal: Failure | undefined
    let since = now()

    const postponeAll = (until: number) => {
      for (const method of methods) method.notBefore = Math.max(method.notBefore, until)
    }

    const wait = Effect.suspend(() => {
      const retryMillis = Math.max(0, Math.min(...methods.map(({ notBefore }) => notBefore)) - now())
      const telling = methods.find(({ error, setAside }) => error !== undefined && !setAside) ?? methods[0]
      const error = refusal ?? telling?.error ??
        new TransportError({ reason: "Refused", detail: "no connectivity method is configured" })
      const failures = refusal === undefined ? telling?.failures ?? 0 : refusals
      return SubscriptionRef.set(state, { status: "Waiting", error, failures, retryMillis }).pipe(
        Effect.andThen(Effect.logDebug(`Dialing again in ${Math.round(retryMillis / 100) / 10} s`, error.message)),
        Effect.andThen(Number.isFinite(retryMillis) ? Effect.sleep(Math.max(1, Math.ceil(retryMillis))) : Effect.never)
      )
    })

    while (true) {
      const method = methodToDial(methods, now())
      if (method === undefined) {
        yield* wait
        continue
      }
      method.triedAt = now()
      yield* SubscriptionRef.set(state, { status: "Dialing", method: method.dialer.method })
      const attempt = yield* Effect.result(establish(parent, method.dialer))
      refusal = undefined
      if (attempt._tag === "Success") {
        refusals = 0
        const { pause, silent } = yield* use(parent, { method, established: attempt.success })
        since = now()
        postponeAll(now() + pause)
        for (const each of methods) each.triedAt = -Infinity
        // What went silent without a word may take a whole dial to show that it still is: the others come first.
        if (silent !== undefined) silent.triedAt = now()
      } else if (attempt.failure._tag === "Refused") {
        // The operator's own word counts whatever the method; one method's trouble leaves hope for the others.
        refusals += 1
        refusal = attempt.failure
        const failures = { count: refusals, awayMillis: now() - since, hopeless: hopeless(refusal) }
        postponeAll(now() + (yield* backOff(timings, failures)))
      } else yield* failed(method, attempt.failure, now() - since)
    }
  }).pipe(Effect.scoped, Effect.ensuring(SubscriptionRef.set(current, Option.none())))

  const client: LinkClient = {
    run: run as Effect.Effect<never>,
    current,
    state,
    acknowledgedAt: () => lastWord.acknowledgedAt,
    askWithin: (millis) => lastWord.askWithin(millis)
  }
  return client
})

export const LinkClient = { make }
