/**
 * How fast a connection really delivers, from what was acknowledged when: round trip, rate, and how much may be under way.
 * Times in milliseconds.
 */
const floor = 16 * 1024
/** How long a measured best counts: routes and radio cells change. */
const memoryMillis = 4_000

/** What was known when a segment left; from it the acknowledgement makes a sample. */
export interface Departure {
  readonly at: number
  readonly delivered: number
  readonly deliveredAt: number
  readonly limited: boolean
}

export class AckRate {
  private readonly queueMillis: number
  private readonly most: number
  private delivered = 0
  private deliveredAt = 0
  private smoothed: number | undefined
  private variation = 0
  private shortest = { now: Infinity, before: Infinity, since: 0 }
  private best = { now: 0, before: 0, since: 0 }

  constructor(queueMillis: number, most: number) {
    this.queueMillis = queueMillis
    this.most = most
  }

  /** Bytes per millisecond, 0 while unknown. */
  get rate(): number {
    return Math.max(this.best.now, this.best.before)
  }

  get roundTrip(): number | undefined {
    return this.smoothed
  }

  /** When to think a segment lost, before back-off. */
  get patience(): number {
    return this.smoothed === undefined ? 0 : this.smoothed + 4 * this.variation
  }

  /**
   * Bytes that may be under way: what the measured rate carries in the queueing time beyond the shortest round trip.
   * Without that trip a long line could never be filled.
   */
  get window(): number {
    const shortest = Math.min(this.shortest.now, this.shortest.before)
    const time = this.queueMillis + (Number.isFinite(shortest) ? shortest : 0)
    return Math.min(this.most, Math.max(floor, Math.floor(this.rate * time)))
  }

  depart(now: number, underWay: number): Departure {
    if (underWay === 0) this.deliveredAt = now
    return { at: now, delivered: this.delivered, deliveredAt: this.deliveredAt, limited: underWay * 2 >= this.window }
  }

  /** `departure` of the newest segment acknowledged, absent where it was sent more than once. */
  arrive(now: number, bytes: number, departure: Departure | undefined): void {
    this.delivered += bytes
    this.deliveredAt = now
    if (departure === undefined) return
    const trip = now - departure.at
    this.variation = this.smoothed === undefined
      ? trip / 2
      : 0.75 * this.variation + 0.25 * Math.abs(this.smoothed - trip)
    this.smoothed = this.smoothed === undefined ? trip : 0.875 * this.smoothed + 0.125 * trip
    if (now - this.shortest.since > memoryMillis * 4) {
      this.shortest = { now: trip, before: this.shortest.now, since: now }
    } else this.shortest.now = Math.min(this.shortest.now, trip)

    const sample = (this.delivered - departure.delivered) / Math.max(0.001, now - departure.deliveredAt)
    if (departure.limited && now - this.best.since > memoryMillis) {
      this.best = { now: sample, before: this.best.now, since: now }
    } else if (departure.limited || sample > this.best.now) {
      this.best.now = Math.max(this.best.now, sample)
    }
  }
}
