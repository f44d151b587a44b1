/**
 * How fast a connection really delivers, from what was acknowledged when: round trip, rate, and how much may be under way.
 * Times in milliseconds.
 */
const floor = 16 * 1024
/** How long a measured best counts, if not for some round trips: a line that carries less from now on must not queue what it did before. */
const memoryMillis = 500
const memoryTrips = 4
/** How long the shortest round trip counts, twice: routes and radio cells change. */
const routeMillis = 10_000

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
  /**
   * Until when the last acknowledged was certainly there, since it first left: 0 where its trip was measured, Infinity before any. What
   * is sent more than once is not, since nobody knows which copy is acknowledged.
   */
  private bound = Infinity
  /**
   * The next must have so long before it is sent again: on a line that takes longer than that wait nothing would ever be measured, and
   * everything sent twice. The lesser of two bounds, because what was sent more than once where trips are known was lost, more likely.
   */
  longest = 0
  private shortest = { now: Infinity, before: Infinity, since: 0 }
  private best = { now: 0, before: 0, since: 0 }
  /**
   * While a line is kept full, its round trip holds what this side queues; taken for the line's own, it would let more be queued each
   * time. So the queue is let run empty now and then, until this time.
   */
  private emptyingUntil: number | undefined

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
   * Bytes that may be under way: what the measured rate carries in the queueing time beyond the shortest round trip and half of it.
   * Without that trip a long line could never be filled, without the half its rate would hardly ever be found to be more.
   */
  get window(): number {
    return this.emptyingUntil === undefined ? this.fullWindow : floor
  }

  private get fullWindow(): number {
    const shortest = Math.min(this.shortest.now, this.shortest.before)
    const time = this.queueMillis + (Number.isFinite(shortest) ? 1.5 * shortest : 0)
    return Math.min(this.most, Math.max(floor, Math.floor(this.rate * time)))
  }

  depart(now: number, underWay: number): Departure {
    if (underWay === 0) this.deliveredAt = now
    const limited = this.emptyingUntil === undefined && underWay * 2 >= this.window
    return { at: now, delivered: this.delivered, deliveredAt: this.deliveredAt, limited }
  }

  /** `departure` of the newest segment acknowledged, absent where it was sent more than once, and when it left first. */
  arrive(now: number, bytes: number, departure: Departure | undefined, firstLeft = now): void {
    this.delivered += bytes
    this.deliveredAt = now
    if (this.emptyingUntil !== undefined && now >= this.emptyingUntil) this.emptyingUntil = undefined
    const bound = departure === undefined ? now - firstLeft : 0
    this.longest = Math.min(this.bound, bound)
    this.bound = bound
    if (departure === undefined) return
    const trip = now - departure.at
    this.variation = this.smoothed === undefined
      ? trip / 2
      : 0.75 * this.variation + 0.25 * Math.abs(this.smoothed - trip)
    this.smoothed = this.smoothed === undefined ? trip : 0.875 * this.smoothed + 0.125 * trip
    this.travelled(now, trip, departure.limited)
    this.carried(now, departure)
  }

  private travelled(now: number, trip: number, limited: boolean): void {
    if (now - this.shortest.since <= routeMillis) {
      this.shortest.now = Math.min(this.shortest.now, trip)
      return
    }
    const known = Number.isFinite(this.shortest.now)
    this.shortest = { now: trip, before: this.shortest.now, since: now }
    // At the floor nothing less may be under way.
    if (known && limited && this.fullWindow > floor) this.emptyingUntil = now + trip + this.queueMillis
  }

  private carried(now: number, departure: Departure): void {
    const sample = (this.delivered - departure.delivered) / Math.max(0.001, now - departure.deliveredAt)
    const memory = Math.max(memoryMillis, memoryTrips * (this.smoothed ?? 0))
    if (departure.limited && now - this.best.since > memory) {
      this.best = { now: sample, before: this.best.now, since: now }
    } else if (departure.limited || sample > this.best.now) {
      this.best.now = Math.max(this.best.now, sample)
    }
  }
}
