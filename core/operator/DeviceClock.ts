/**
 * What a device's wall clock says, from the last time it told, so that its times can be given in ours. Between two tellings both go on by
 * the monotonic clock: a step of our own wall clock changes what its times are in ours, not how far it has come.
 */
import type { Clock } from "effect"

/** Less is drift, or the way that the telling took: what was told of once keeps its time. */
const tolerableMillis = 2000

export class DeviceClock {
  readonly #clock: Clock.Clock
  #told: { readonly at: number; readonly monotonic: number } | undefined
  #offset = 0

  constructor(clock: Clock.Clock) {
    this.#clock = clock
  }

  /** It says that it is now this millisecond since the epoch. */
  says(at: number): void {
    this.#told = { at, monotonic: this.#monotonic() }
  }

  /** Add to a time by the device's clock to have ours, milliseconds; 0 while it has not told. */
  offset(): number {
    if (this.#told === undefined) return 0
    const there = this.#told.at + this.#monotonic() - this.#told.monotonic
    const measured = this.#clock.currentTimeMillisUnsafe() - there
    if (Math.abs(measured - this.#offset) >= tolerableMillis) this.#offset = measured
    return this.#offset
  }

  #monotonic(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  }
}
