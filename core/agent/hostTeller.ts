/** Tells the operator of the host once a session, and again when something changed; also when its wall clock was set. */
import { Clock, Effect, Equal, Latch, Semaphore } from "effect"
import type { LinkError } from "../link/Session.ts"
import type { NodeReport } from "../wire/Event.ts"

/** A step that is worth telling: the operator gives the device's times in its own. */
const stepMillis = 2000

/** Stays the same for as long as nobody sets the wall clock. */
const boot = Effect.map(
  Effect.all([Clock.currentTimeMillis, Clock.monotonicTimeNanos]),
  ([wall, monotonic]) => wall - Number(monotonic / 1_000_000n)
)

export interface HostTeller {
  /** Looks at the host, and tells of it unless that would say nothing new. */
  readonly look: Effect.Effect<void, LinkError>
  /** The same, and tells of it whatever it says. */
  readonly repeat: Effect.Effect<void, LinkError>
  /** Completes when the operator knows by which clock the device's times are: at once, but at a beginning and after a step. */
  readonly timed: Effect.Effect<void, LinkError>
}

/** For one session. */
export const makeHostTeller = (
  observe: Effect.Effect<Omit<NodeReport, "at">>,
  tell: (report: NodeReport) => Effect.Effect<void, LinkError>
): HostTeller => {
  const turn = Semaphore.makeUnsafe(1)
  const known = Latch.makeUnsafe(false)
  let told: { readonly host: Omit<NodeReport, "at">; readonly boot: number } | undefined

  const say = Effect.fnUntraced(function*(host: Omit<NodeReport, "at">, anyway = false) {
    const now = yield* boot
    if (!anyway && told !== undefined && Math.abs(told.boot - now) < stepMillis && Equal.equals(told.host, host)) return
    // One that goes unanswered may have been heard, or not: what the operator thinks is not known until the next answer.
    told = undefined
    yield* tell({ ...host, at: yield* Clock.currentTimeMillis }).pipe(
      // Whatever is wrong with it, pods are told of all the same.
      Effect.tapError(({ reason }) => reason === "Refused" ? known.open : Effect.void)
    )
    told = { host, boot: now }
    yield* known.open
  })

  return {
    look: Effect.flatMap(observe, (host) => turn.withPermit(say(host))),
    repeat: Effect.flatMap(observe, (host) => turn.withPermit(say(host, true))),
    timed: Effect.andThen(
      known.await,
      turn.withPermit(Effect.suspend(() => told === undefined ? Effect.void : say(told.host)))
    ).pipe(Effect.catchIf(
      (error) => error.reason === "Refused",
      (error) => Effect.logDebug(`the operator refuses to hear of the host: ${error.detail}`)
    ))
  }
}
