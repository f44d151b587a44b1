/** Every wait of the link, in milliseconds, with the defaults the documentation states. */
import { Context } from "effect"

export interface LinkTimings {
  /**
   * A device that heard nothing for so long asks for an answer; either side gives the connection up after 1.5 times this.
   * The operator's value counts on both sides. One exchange costs about 290 bytes with TLS, HTTP/2 and TCP: 3.2 B/s at 90 s.
   */
  readonly beatMillis: number
  /** A connection that returns within this resumes the session; after it the session is lost. The operator's value counts. */
  readonly sessionTimeoutMillis: number
  /** How long a request waits for its reply unless it says otherwise. */
  readonly requestTimeoutMillis: number
  /** From connection to session. */
  readonly handshakeTimeoutMillis: number
  /** An unanswered handshake message is repeated, for transports that lose frames. */
  readonly handshakeResendMillis: number
  /** How long a dialer may take to connect. */
  readonly connectTimeoutMillis: number
  /** An acknowledgement waits so long for a packet to travel with. */
  readonly ackDelayMillis: number
  /** Least and most time before the oldest unacknowledged segment is sent again. */
  readonly resendFirstMillis: number
  readonly resendMostMillis: number
  /** What may queue below the session, as time at the measured rate: a command waits no longer than this behind bulk. */
  readonly queueMillis: number
  /** Back-off of the device: first cap, times `factor` per failure up to `most`, and up to `patient` once away for `patientAfter`. */
  readonly backoffFirstMillis: number
  readonly backoffFactor: number
  readonly backoffMostMillis: number
  readonly backoffPatientAfterMillis: number
  readonly backoffPatientMillis: number
  /** Where only a person can help (duplicate identity, deleted, wrong key, rejected credential). */
  readonly refusedRetryMillis: number
  /** How often a device on a lesser method tries the better ones. */
  readonly returnToBestMillis: number
  /** How long a side that ends a session waits for the farewell to leave. */
  readonly farewellMillis: number
}

export const defaultTimings: LinkTimings = {
  beatMillis: 90_000,
  sessionTimeoutMillis: 300_000,
  requestTimeoutMillis: 30_000,
  handshakeTimeoutMillis: 10_000,
  handshakeResendMillis: 2_000,
  connectTimeoutMillis: 20_000,
  ackDelayMillis: 25,
  resendFirstMillis: 2_000,
  resendMostMillis: 30_000,
  queueMillis: 250,
  backoffFirstMillis: 1_000,
  backoffFactor: 2,
  backoffMostMillis: 30_000,
  backoffPatientAfterMillis: 600_000,
  backoffPatientMillis: 300_000,
  refusedRetryMillis: 300_000,
  returnToBestMillis: 600_000,
  farewellMillis: 1_000
}

export const LinkTimings = Context.Reference<LinkTimings>("aranya/link/LinkTimings", {
  defaultValue: () => defaultTimings
})
