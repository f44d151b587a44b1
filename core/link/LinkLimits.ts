/** How much memory, and how many at a time, a link may use; with the defaults the documentation states. */
import { Context } from "effect"

export interface LinkLimits {
  /** Bytes of received data that one link may hold on each side. */
  readonly agentPool: number
  readonly operatorPool: number
  /** Reserved for each stream when it opens, in bytes; 256 streams of 16 KiB fill a pool of 4 MiB, 204 of them channels at most. */
  readonly window: number
  /** Most a stream that drains quickly may be granted, in bytes. */
  readonly maxWindow: number
  /** Part of a pool that one request, reply or channel message may fill. */
  readonly messageShare: number
  /** Bytes a channel takes from its sender ahead of what it could send. */
  readonly sendQueue: number
  /** Bytes of requests that may wait to be sent in one session. */
  readonly requestQueue: number
  /** Requests of the peer that are worked on at once; more wait. */
  readonly concurrentRequests: number
  /** Bytes that may be sent and unacknowledged: of commands, and of everything else at any rate. */
  readonly commandsInFlight: number
  readonly inFlight: number
  /** Credits, ends and refusals that may wait for the peer's acknowledgement; more end the session. */
  readonly answers: number
  /** Segments and bytes held beyond a gap; as many segments behind messages that wait for memory. */
  readonly heldSegments: number
  readonly heldBytes: number
  /** Plain bytes of one packet at most; the transport's frame may ask for less. */
  readonly packet: number
  /** Devices the operator decides about at once; more wait. Each waits for the device at most as long as a handshake may take. */
  readonly handshakes: number
  /** Bytes and number of frames a connection may send before it has proven its key. */
  readonly handshakeFrame: number
  readonly handshakeFrames: number
}

export const defaultLimits: LinkLimits = {
  agentPool: 8 * 1024 * 1024,
  operatorPool: 4 * 1024 * 1024,
  window: 16 * 1024,
  maxWindow: 1024 * 1024,
  messageShare: 0.5,
  sendQueue: 64 * 1024,
  requestQueue: 16 * 1024 * 1024,
  concurrentRequests: 64,
  commandsInFlight: 1024 * 1024,
  inFlight: 4 * 1024 * 1024,
  answers: 4096,
  heldSegments: 4096,
  heldBytes: 2 * 1024 * 1024,
  packet: 64 * 1024,
  handshakes: 1024,
  handshakeFrame: 4 * 1024,
  handshakeFrames: 16
}

export const LinkLimits = Context.Reference<LinkLimits>("aranya/link/LinkLimits", {
  defaultValue: () => defaultLimits
})
