/** Every wait of the link, in milliseconds, with the defaults the documentation states. */
import { Context } from "effect"

export interface LinkTimings {
  /**
   * A device that heard nothing for so long asks for an answer; either side gives the connection up after 1.5 times this.
   * The operator's value counts on both sides. One exchange costs about 290 bytes with TLS, HTTP/2 and TCP: 3.2 B/s at 90 s.
   */
  readonly beatMillis: number
  /**
   * A side that has sent something and hears nothing at all for so long gives the connection up without waiting for the beat.
   * Longer than mobile networks stall (handover and paging take seconds, a full buffer in a cell perhaps 20 s); longer still
   * where answers took long before or the line carries little, and doubled while connections are given up in vain. Costs no bytes: the
   * resends of what was sent are the question. A device with a stream or a request under way asks after so long a silence in
   * place of the beat's, since who only receives has sent nothing: 10 B/s while a `logs -f` is open and says nothing.
   */
  readonly unansweredMillis: number
  /** A connection that returns within this resumes the session; after it the session is lost. The operator's value counts. */
  readonly sessionTimeoutMillis: number
  /** How long a request waits for its reply unless it says otherwise. */
  readonly requestTimeoutMillis: number
  /** How long each message of the handshake is waited for; on a device at least as long as its dialer may take to connect. */
  readonly handshakeTimeoutMillis: number
  /** An unanswered handshake message is repeated, for transports that lose frames. */
  readonly handshakeResendMillis: number
  /** How long a dialer may take to connect, unless it says otherwise. */
  readonly connectTimeoutMillis: number
  /**
   * An acknowledgement of little waits so long for a packet to travel with: alone it costs 22 bytes, and on the wire 160. Well below
   * `resendFirstMillis`, or the peer would send again what has come.
   */
  readonly ackDelayMillis: number
  /**
   * A short reply, where little else is asked, waits so long for what often follows it: a command that is obeyed and the report of what
   * it did are then one packet, which saves 110 bytes on the wire by gRPC and 260 by MQTT.
   */
  readonly replyDelayMillis: number
  /** Least and most time before the oldest unacknowledged segment is sent again. */
  readonly resendFirstMillis: number
  readonly resendMostMillis: number
  /**
   * What may queue below the session, as time at the measured rate: a command, or a key that somebody pressed, waits no longer than this
   * behind bulk.
   */
  readonly queueMillis: number
  /** Back-off of the device, for each method by itself: first cap, times `factor` per failure up to `most`, and up to `patient` once away for `patientAfter`. */
  readonly backoffFirstMillis: number
  readonly backoffFactor: number
  readonly backoffMostMillis: number
  readonly backoffPatientAfterMillis: number
  readonly backoffPatientMillis: number
  /**
   * After the loss of a connection nothing is dialed for a random time of up to this (`backoffFirst` if that is longer, never
   * more than `backoffMost`): who breaks one connection may have broken those of a whole fleet.
   */
  readonly reconnectSpreadMillis: number
  /** Where only a person can help (duplicate identity, deleted, wrong key, rejected credential). */
  readonly refusedRetryMillis: number
  /** A device on a lesser method tries each better one again after this, then after twice that, and so on up to `returnToBest`. */
  readonly returnFirstMillis: number
  /** Longest pause between those tries, before jitter; a method that carried for so long is trusted again. */
  readonly returnToBestMillis: number
  /** How long a side that ends a session waits for the farewell to leave. */
  readonly farewellMillis: number
}

export const defaultTimings: LinkTimings = {
  beatMillis: 90_000,
  unansweredMillis: 30_000,
  sessionTimeoutMillis: 300_000,
  requestTimeoutMillis: 30_000,
  handshakeTimeoutMillis: 10_000,
  handshakeResendMillis: 2_000,
  connectTimeoutMillis: 20_000,
  ackDelayMillis: 500,
  replyDelayMillis: 200,
  resendFirstMillis: 2_000,
  resendMostMillis: 30_000,
  queueMillis: 50,
  backoffFirstMillis: 1_000,
  backoffFactor: 2,
  backoffMostMillis: 30_000,
  backoffPatientAfterMillis: 600_000,
  backoffPatientMillis: 300_000,
  reconnectSpreadMillis: 3_000,
  refusedRetryMillis: 300_000,
  returnFirstMillis: 60_000,
  returnToBestMillis: 600_000,
  farewellMillis: 1_000
}

export const LinkTimings = Context.Reference<LinkTimings>("aranya/link/LinkTimings", {
  defaultValue: () => defaultTimings
})
