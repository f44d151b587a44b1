/** What device and operator tell each other, under encryption, before a session begins. */
import { Context, type Effect, Schema } from "effect"

export const DeviceHello = Schema.Struct({
  /** Namespace and name of the EdgeDevice. */
  namespace: Schema.String,
  device: Schema.String,
  /** Lowest and highest protocol version spoken. */
  protocolMin: Schema.Number,
  protocolMax: Schema.Number,
  agentVersion: Schema.String,
  /** Random, made with the journal: tells a restored or cloned disk from the one that went on living. */
  journalId: Schema.String,
  bootId: Schema.String,
  /** Random per agent process. */
  instance: Schema.String,
  /** Highest epoch this device ever accepted. */
  epoch: Schema.Number,
  /** The newest lineage token it holds; empty before the first session. */
  lineage: Schema.Uint8Array,
  /** The method that carries this, `grpc` or `mqtt`. */
  method: Schema.String,
  /** Over all that the device holds (assignments and their reports); equal to the operator's means nothing to exchange. */
  digest: Schema.Uint8Array,
  /** What it can beyond its protocol version; an operator that does not know one never uses it. */
  capabilities: Schema.Array(Schema.String)
})
export type DeviceHello = typeof DeviceHello.Type

export const OperatorHello = Schema.Struct({
  protocol: Schema.Number,
  epoch: Schema.Number,
  /** The next lineage token; the device stores it before it uses the session. */
  lineage: Schema.Uint8Array,
  operatorVersion: Schema.String,
  /** Milliseconds. */
  beatMillis: Schema.Number,
  sessionTimeoutMillis: Schema.Number,
  /** Operator's wall clock, milliseconds since the epoch: the device measures its offset. */
  now: Schema.Number,
  /** Those of the device's that the operator has too; empty where the session is resumed. */
  capabilities: Schema.Array(Schema.String)
})
export type OperatorHello = typeof OperatorHello.Type

/** Why an operator turns a device away. The device sees the code and the sentence. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {
  code: Schema.Literals([
    "UnknownDevice",
    "WrongKey",
    "NotEnrolled",
    "DuplicateIdentity",
    "Deleted",
    "ProtocolVersion",
    "LiveElsewhere",
    "NotHolder",
    "Unavailable"
  ]),
  detail: Schema.String
}) {
  override get message() {
    return `${this.code}: ${this.detail}`
  }
}

export interface Admitted {
  readonly epoch: number
  readonly lineage: Uint8Array
  /** The uid of its EdgeDevice; absent where there is but one of each name. */
  readonly by?: string
}

/** The operator's decision about a device that has proven its key; core/operator supplies it from EdgeDevice objects. */
export class Admission extends Context.Service<Admission, {
  /**
   * The pre-shared enrolment key (32 bytes) that a device has to hold which is not pinned yet, none once `publicKey` is pinned.
   * Asked before the answer to the first handshake message.
   */
  readonly challenge: (device: {
    readonly namespace: string
    readonly device: string
    readonly publicKey: Uint8Array
  }) => Effect.Effect<{ readonly psk: Uint8Array | undefined }, Refused>
  /**
   * Called once the device has proven that it holds the key (and the enrolment key, if it `enrols`). Issues epoch and lineage.
   * `by` names what let it in, for `onSession`: another of the same name by then has not.
   */
  readonly admit: (
    hello: DeviceHello,
    proven: { readonly publicKey: Uint8Array; readonly enrols: boolean },
    live: { readonly instance: string; readonly journalId: string } | undefined
  ) => Effect.Effect<Admitted, Refused>
}>()("aranya/link/Admission") {}

/** What the handshake agreed on could not be made durable: the session must not begin. */
export class NotRemembered extends Schema.TaggedError<NotRemembered>()("NotRemembered", { detail: Schema.String }) {
  override get message() {
    return `the session cannot be remembered: ${this.detail}`
  }
}

/** The device's lasting memory of its link; core/agent supplies it from the journal. */
export class LinkMemory extends Context.Service<LinkMemory, {
  readonly load: Effect.Effect<{
    readonly journalId: string
    readonly bootId: string
    readonly epoch: number
    readonly lineage: Uint8Array
  }>
  /** Durable before it returns. */
  readonly save: (
    accepted: { readonly epoch: number; readonly lineage: Uint8Array }
  ) => Effect.Effect<void, NotRemembered>
  readonly digest: Effect.Effect<Uint8Array>
}>()("aranya/link/LinkMemory") {}
