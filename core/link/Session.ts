/**
 * A session is the conversation of one operator process with one agent process. It outlives connections (up to the session
 * timeout); when it ends, what was under way ends with `SessionLost` and the next session starts from the digest exchange.
 */
import { type Effect, Schema, type Scope, type Stream, type SubscriptionRef } from "effect"
import type { TrafficClass, TrafficCount } from "./Traffic.ts"

/**
 * `SessionLost`: the session ended; whether the peer acted is unknown unless a reply had come.
 * `Timeout`: no reply within the limit. `Refused`: the peer answered with an error.
 * `Overloaded`: memory pools or queues are full; try again later. `Closed`: we ended it ourselves.
 * `OverBudget`: what the owner grants this kind of traffic for a day is used up; the detail is a sentence that says until when.
 */
export class LinkError extends Schema.TaggedError<LinkError>()("LinkError", {
  reason: Schema.Literals(["SessionLost", "Timeout", "Refused", "Overloaded", "Closed", "TooLarge", "OverBudget"]),
  detail: Schema.String
}) {
  override get message() {
    return `${this.reason}: ${this.detail}`
  }
}

/** Classes of priority, strict, highest first (beats, acks and credits are above all of them). */
export const Priority = Schema.Literals(["command", "assignment", "interactive", "bulk"])
export type Priority = typeof Priority.Type

/** An ordered byte-message stream in both directions with credit-based flow control. */
export interface Channel {
  /** Waits for credit. A message larger than a chunk is split; message bounds are kept. */
  readonly send: (message: Uint8Array) => Effect.Effect<void, LinkError>
  /** Half-close: the peer's `messages` end after what was sent. Idempotent. */
  readonly end: Effect.Effect<void, LinkError>
  /** Ends both directions with an error the peer sees as `Refused` with this detail. */
  readonly fail: (detail: string) => Effect.Effect<void>
  /** Ends with the peer's `end`, fails with its `fail` or with the session. To be run once. */
  readonly messages: Stream.Stream<Uint8Array, LinkError>
}

/** What keeps a peer away, as far as it can be told: its program or its machine ended in order, or the link failed. */
export type Absence = "Link" | "Program" | "Machine"

export interface Session {
  /** Names both processes' conversation in logs; random, not secret. */
  readonly id: string
  /** Whether a connection carries the session at this moment. */
  readonly connected: SubscriptionRef.SubscriptionRef<boolean>
  /** The method of the connection that came last, as the device named it; told at the operator's end, anew when `connected` is. */
  readonly method: () => string | undefined
  /** Why no connection carries it, or why it is over. */
  readonly absence: () => Absence
  /** One message there, one reply back. At most once: never resent into another session. Counts as control unless told. */
  readonly request: (
    message: Uint8Array,
    options?: {
      readonly priority?: Priority
      readonly timeoutMillis?: number
      readonly traffic?: TrafficClass
      /** False for a message that holds secrets beside what others chose: its length must not tell how alike they are. */
      readonly compress?: boolean
      /** It may wait so long for something else to leave with; absent: it goes at once. */
      readonly patienceMillis?: number
    }
  ) => Effect.Effect<Uint8Array, LinkError>
  /**
   * Opens a channel; `message` says what for. Closing the scope ends it on both sides. Counts as streams unless told. Only those
   * of priority bulk are compressed: what is typed or forwarded may hold secrets beside a stranger's words.
   */
  readonly open: (
    message: Uint8Array,
    options?: { readonly priority?: Priority; readonly traffic?: TrafficClass }
  ) => Effect.Effect<Channel, LinkError, Scope.Scope>
  /** Bytes on its connections so far, handshakes included. */
  readonly traffic: () => TrafficCount
  /** Completes when the session is over, with the reason for logs. */
  readonly closed: Effect.Effect<string>
  /** Ends it now: the peer learns if a connection is up. */
  readonly close: (why: string) => Effect.Effect<void>
}

/** What a side does with what the other asks. */
export interface Handlers {
  /** A failure's `detail` reaches the peer as `Refused`. Runs concurrently up to a bound; order of arrival per priority. */
  readonly onRequest: (message: Uint8Array) => Effect.Effect<Uint8Array, LinkError>
  /** The channel lives until this ends; its failure ends the channel with the error's detail. */
  readonly onOpen: (message: Uint8Array, channel: Channel) => Effect.Effect<void, LinkError, Scope.Scope>
}
