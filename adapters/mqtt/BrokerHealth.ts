/** How a broker has fared with us: when it may be dialed again, and how long a connection has to last before it is believed. */
import { Duration, Effect, Random } from "effect"
import type { TransportError } from "../../core/link/Transport.ts"

/** Capped exponential with full jitter; a credential that was not accepted waits between half and all of `maxDelay`. */
export interface BackoffOptions {
  /** Absent: 1 second. */
  readonly initialDelay?: Duration.Input
  /** Absent: 30 seconds. */
  readonly maxDelay?: Duration.Input
  /** Absent: 1.5. */
  readonly factor?: number
}

const millis = (input: Duration.Input) => Duration.toMillis(Duration.fromInputUnsafe(input))

/** Times are monotonic milliseconds. */
export class BrokerHealth {
  /** Asked anew each time. */
  private readonly backoff: () => BackoffOptions | undefined
  /** Failures in a row, with connections that did not last: only one that did is a new beginning. */
  private failures = 0
  /** Connections in a row that did not last. */
  private unsteady = 0
  private connectedAt: number | undefined

  constructor(backoff: () => BackoffOptions | undefined) {
    this.backoff = backoff
  }

  /** The broker has let us in. */
  connected(now: number): void {
    this.connectedAt = now
  }

  /** The connection is over, or never came to be. Answers with how long to wait before the next attempt. */
  ended(error: TransportError, now: number): Effect.Effect<number> {
    return Effect.map(Random.next, (chance) => {
      const most = millis(this.backoff()?.maxDelay ?? "30 seconds")
      if (this.connectedAt !== undefined) {
        // A broker that lets us in and cuts us off again must not be dialed in a tight loop.
        const lasted = now - this.connectedAt >= most
        this.unsteady = lasted ? 0 : this.unsteady + 1
        if (lasted) this.failures = 0
        this.connectedAt = undefined
      }
      this.failures += 1
      return error.reason === "Rejected" ? most * (1 + chance) / 2 : chance * this.cap(this.failures)
    })
  }

  /** How long a connection has to last before others are told of it: nothing, unless those before it did not last. */
  get probationMillis(): number {
    return this.unsteady === 0 ? 0 : this.cap(this.unsteady)
  }

  private cap(count: number): number {
    const { factor = 1.5, initialDelay = "1 second", maxDelay = "30 seconds" } = this.backoff() ?? {}
    return Math.min(millis(maxDelay), millis(initialDelay) * factor ** (count - 1))
  }
}
