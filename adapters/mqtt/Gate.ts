/** Lets publishes through to the broker, first come first served, no more of them than it acknowledges and not too many at a time. */

export interface GateLimits {
  /** Publishes, and bytes of them, that the broker may not have acknowledged yet. */
  readonly count: number
  readonly bytes: number
  /** Urgent ones that may wait; more are dropped. */
  readonly urgent: number
  /** No more than `count` from one of them on for so many milliseconds; absent: as many as come. */
  readonly pace?: {
    readonly count: number
    readonly millis: number
    /** Does it after so many milliseconds. */
    readonly later: (millis: number, work: () => void) => void
  }
}

interface Waiting {
  readonly bytes: number
  readonly go: () => void
  /** It never will be let through. */
  readonly stop?: () => void
}

export class Gate {
  private readonly limits: GateLimits
  private count = 0
  private bytes = 0
  /** Let through since the present stretch of time began. */
  private lately = 0
  /** Whether the last one was urgent. */
  private hurried = false
  private readonly urgent: Array<Waiting> = []
  private readonly waiting = new Set<Waiting>()
  private readonly idle = new Set<() => void>()
  private closed = false
  private looking = false

  constructor(limits: GateLimits) {
    this.limits = limits
  }

  /** Calls `go` once there is room, or `stop` once there never will be; who gives up calls what this returns. */
  enter(bytes: number, go: () => void, stop: () => void): () => void {
    const waiting = { bytes, go, stop }
    if (this.closed) stop()
    else this.waiting.add(waiting)
    this.look()
    return () => void this.waiting.delete(waiting)
  }

  /** For what is short and can be done without: every other turn is its, or it is dropped. */
  hurry(bytes: number, go: () => void): void {
    if (this.urgent.length >= this.limits.urgent) return
    this.urgent.push({ bytes, go })
    this.look()
  }

  /** The broker has what was let through. */
  leave(bytes: number): void {
    this.count -= 1
    this.bytes -= bytes
    this.look()
  }

  /** Nobody gets through any more. */
  close(): void {
    this.closed = true
    this.urgent.length = 0
    const stopped = [...this.waiting]
    this.waiting.clear()
    for (const { stop } of stopped) stop?.()
    for (const done of [...this.idle]) done()
  }

  /** Calls once everything is acknowledged, or never will be. */
  whenIdle(done: () => void): () => void {
    const once = () => {
      this.idle.delete(once)
      done()
    }
    if (this.closed || this.empty) once()
    else this.idle.add(once)
    return () => void this.idle.delete(once)
  }

  private get empty() {
    return this.count === 0 && this.urgent.length === 0 && this.waiting.size === 0
  }

  private get room() {
    const { bytes, count, pace } = this.limits
    const isInTime = pace === undefined || this.lately < pace.count
    return !this.closed && this.count < count && this.bytes < bytes && isInTime
  }

  private keepPace(): void {
    const { pace } = this.limits
    if (pace === undefined) return
    this.lately += 1
    if (this.lately > 1) return
    pace.later(pace.millis, () => {
      this.lately = 0
      this.look()
    })
  }

  private look(): void {
    // What was let through may leave at once: the turn that goes on sees it, and the stack does not grow with all that wait.
    if (this.looking) return
    this.looking = true
    try {
      this.letThrough()
    } finally {
      this.looking = false
    }
    if (this.empty) { for (const done of [...this.idle]) done() }
  }

  private letThrough(): void {
    while (this.room) {
      const [first] = this.waiting
      // Every other one at most: whoever makes much that is urgent does not hold up the rest.
      const next = first === undefined || !this.hurried ? this.urgent.shift() ?? first : first
      if (next === undefined) break
      this.hurried = !this.waiting.delete(next)
      this.count += 1
      this.bytes += next.bytes
      this.keepPace()
      next.go()
    }
  }
}
