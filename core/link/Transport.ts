/**
 * One connection between a device and its operator, as an adapter supplies it: frames of bounded size, nothing else.
 * Sequence, resend, sealing and channels are the session's; a transport may lose, repeat or reorder frames if it says so.
 */
import { Context, type Effect, Schema, type Scope } from "effect"

/**
 * Why a connection could not be made or ended.
 * `Refused`: the peer or its network said no; try again later. `Lost`: it was up and broke; dial again.
 * `Rejected`: one side does not accept the other's credential (TLS, broker login); trying again soon is pointless until somebody
 * mends it.
 */
export class TransportError extends Schema.TaggedError<TransportError>()("TransportError", {
  reason: Schema.Literals(["Refused", "Lost", "Rejected"]),
  detail: Schema.String
}) {
  override get message() {
    const what = {
      Refused: "could not connect",
      Lost: "the connection was lost",
      Rejected: "a credential was not accepted"
    }
    return `${what[this.reason]}: ${this.detail}`
  }
}

export interface SendOptions {
  /** A beat or an acknowledgement: the session says it again where it is lost, and it follows and precedes nothing. */
  readonly expendable?: boolean
}

export interface Connection {
  /** For logs: `grpc 10.0.0.7:41522`. */
  readonly description: string
  /** Bytes a single frame may have. */
  readonly maxFrame: number
  /** Waits while the transport below is full (its own back-pressure). */
  readonly send: (frame: Uint8Array, options?: SendOptions) => Effect.Effect<void, TransportError>
  /**
   * Where it was met, for transports on which each device has a place of its own: the topic namespace of MQTT. It proves
   * nothing; the handshake does.
   */
  readonly place?: string
  /** Whether a device that names itself so may come this way; asked before it is answered. Absent: any may. */
  readonly admits?: (device: { readonly namespace: string; readonly device: string }) => Effect.Effect<boolean>
  /** Takes the next frame that arrived; fails with `Lost` once the connection is gone. Frames over `maxFrame` never surface. */
  readonly receive: Effect.Effect<Uint8Array, TransportError>
  /**
   * Whether others than the peer can put frames into this connection, such as a broker's other clients. What cannot be read is
   * then not held against the peer.
   */
  readonly strangers?: boolean
  /** Run once the peer has proven its key: the transport may give it more from then on, or give up others first. */
  readonly proven?: Effect.Effect<void>
}

/** The device's side: each success is a fresh connection that lives as long as the scope it is opened in. */
export interface Dialer {
  /** The connectivity method, `grpc` or `mqtt`; named in status and logs. */
  readonly method: string
  /** How long `connect` may take; absent: as LinkTimings say. */
  readonly dialTimeoutMillis?: number
  /** Bytes a single frame of its connections may have; absent: not known before there is one. */
  readonly maxFrame?: number
  readonly connect: Effect.Effect<Connection, TransportError, Scope.Scope>
}

/** The operator's side: yields connections as they come, each owned by the scope given to `accept`'s caller. */
export interface Acceptor {
  readonly method: string
  /**
   * Runs `serve` for each connection, in a scope of its own that is closed when `serve` ends (which hangs up).
   * Never returns; fails only if it cannot listen.
   */
  readonly run: <R>(
    serve: (connection: Connection) => Effect.Effect<void, never, R | Scope.Scope>
  ) => Effect.Effect<never, TransportError, Exclude<R, Scope.Scope>>
}

/** How the agent reaches its operator, best first. */
export class Dialers extends Context.Service<Dialers, ReadonlyArray<Dialer>>()("aranya/link/Dialers") {}

/** Where the operator listens. */
export class Acceptors extends Context.Service<Acceptors, ReadonlyArray<Acceptor>>()("aranya/link/Acceptors") {}
