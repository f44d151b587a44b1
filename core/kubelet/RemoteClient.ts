/** Who asked for exec, attach or port-forward, as the kubelet API sees them: whatever protocol brings their streams. */
import { type Effect, Schema, type Stream } from "effect"
import type { Output } from "../pod/ContainerRuntime.ts"

/** The client hung up, or broke its protocol. */
export class ClientGone extends Schema.TaggedError<ClientGone>()("ClientGone", {
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}

export interface TerminalSize {
  readonly width: number
  readonly height: number
}

/** How an exec or attach ended; what failed is told in words. */
export type ProcessOutcome =
  | { readonly _tag: "Exited"; readonly code: number }
  | { readonly _tag: "Failed"; readonly detail: string }

/** The client of an exec or attach. */
export interface ProcessClient {
  /** Ends with the client's end of input; empty where it offers none. To be run once. */
  readonly input: Stream.Stream<Uint8Array, ClientGone>
  readonly resizes: Stream.Stream<TerminalSize, ClientGone>
  /** Waits while the client does not read; what it did not ask for is dropped. */
  readonly output: (output: Output) => Effect.Effect<void, ClientGone>
  /** Ends all its streams, the outcome last. */
  readonly finish: (outcome: ProcessOutcome) => Effect.Effect<void, ClientGone>
}

/** One connection to a port of a pod. */
export interface ForwardedConnection {
  readonly port: number
  readonly input: Stream.Stream<Uint8Array, ClientGone>
  readonly send: (bytes: Uint8Array) => Effect.Effect<void, ClientGone>
  /** After what was sent, nothing more comes. */
  readonly end: Effect.Effect<void, ClientGone>
  /** Ends it with words: kubectl prints them, and newer ones then give up the whole forward. */
  readonly fail: (words: string) => Effect.Effect<void, ClientGone>
}

/** The client of a port-forward: its connections as they come, until it leaves. */
export interface ForwardClient {
  readonly connections: Stream.Stream<ForwardedConnection, ClientGone>
}
