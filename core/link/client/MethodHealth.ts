/** How one way to the operator has fared, and when it may be tried again: each method has a back-off of its own. */
import { Effect, Random } from "effect"
import { backOffCap } from "../backOff.ts"
import type { LinkTimings } from "../LinkTimings.ts"
import { type Dialer, TransportError } from "../Transport.ts"
import { type Failure, hopeless } from "./Failure.ts"

/** Times are monotonic milliseconds. */
export class MethodHealth {
  readonly dialer: Dialer
  /** 0 is the best. */
  readonly rank: number
  /** Not dialed before this. */
  notBefore = -Infinity
  /** Not tried before this while a lesser method carries. */
  returnAt = -Infinity
  /** When it was dialed last since the device had a session: nobody waits behind those whose turn comes again and again. */
  triedAt = -Infinity
  /** The last failure since it led to a session. */
  error: Failure | undefined
  /** Failures in a row, for the back-off. */
  failures = 0
  /** The same with connections that did not last: only one that did makes the method trusted again. */
  private unsteady = 0
  private readonly timings: LinkTimings

  constructor(dialer: Dialer, rank: number, timings: LinkTimings) {
    this.dialer = dialer
    this.rank = rank
    this.timings = timings
  }

  /** Only a person can help. */
  get setAside(): boolean {
    return this.error !== undefined && hopeless(this.error)
  }

  /** It led to no session; `awayMillis` is how long the device has had none. */
  failed(error: Failure, now: number, awayMillis: number): Effect.Effect<void> {
    return Effect.map(Random.next, (chance) => {
      this.failures += 1
      this.error = error
      this.postpone(now, awayMillis, chance)
    })
  }

  /**
   * Its connection is gone. Answers with how long the device should dial nothing at all: where an operator or a broker breaks
   * the connections of all its devices at once, they must not come back at once, whatever other method they have.
   */
  lost(why: string, lastedMillis: number, now: number): Effect.Effect<number> {
    return Effect.map(Random.next, (chance) => {
      const { backoffFirstMillis, backoffMostMillis, reconnectSpreadMillis, returnToBestMillis } = this.timings
      // One that breaks at once again counts as a failure, so that it cannot be dialed in a tight loop.
      this.failures = lastedMillis >= backoffMostMillis ? 1 : this.failures + 1
      if (lastedMillis >= returnToBestMillis) this.unsteady = 0
      this.error = new TransportError({ reason: "Lost", detail: why })
      this.postpone(now, 0, chance)
      return chance * Math.min(backoffMostMillis, Math.max(backoffFirstMillis, reconnectSpreadMillis))
    })
  }

  private postpone(now: number, awayMillis: number, chance: number): void {
    const { refusedRetryMillis, returnFirstMillis, returnToBestMillis } = this.timings
    this.unsteady += 1
    const half = (millis: number) => millis * (1 + chance) / 2
    const cap = backOffCap(this.timings, { count: this.failures, awayMillis, hopeless: this.setAside })
    // A hopeless case waits at least half of its time: trying at once would only fill somebody's log.
    this.notBefore = now + (this.setAside ? half(cap) : chance * cap)
    // A connection that is lost and a first try in vain are one mishap.
    const pause = Math.min(returnToBestMillis, returnFirstMillis * 2 ** Math.min(Math.max(0, this.unsteady - 2), 16))
    this.returnAt = now + half(this.setAside ? Math.max(refusedRetryMillis, pause) : pause)
  }
}

/** Which method to dial now: the best of those that were not dialed for longest; undefined while all have to wait. */
export const methodToDial = (methods: ReadonlyArray<MethodHealth>, now: number): MethodHealth | undefined =>
  methods.filter(({ notBefore }) => notBefore <= now).reduce<MethodHealth | undefined>(
    (chosen, method) => chosen === undefined || method.triedAt < chosen.triedAt ? method : chosen,
    undefined
  )

/** Which of these to try beside a connection that is up, and when: the best of those that are due, else the soonest. */
export const methodToReturnTo = (methods: ReadonlyArray<MethodHealth>, now: number): MethodHealth | undefined =>
  methods.find(({ returnAt }) => returnAt <= now) ??
    methods.reduce<MethodHealth | undefined>(
      (soonest, method) => soonest === undefined || method.returnAt < soonest.returnAt ? method : soonest,
      undefined
    )
