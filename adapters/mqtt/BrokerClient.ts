/** The least that a connection to a broker has to do, whoever speaks MQTT for it: the mqtt package over a socket, or a world without any. */
import type { Effect } from "effect"
import type { TransportError } from "../../core/link/Transport.ts"
import type { BrokerOptions } from "./MqttBroker.ts"

/** What a broker of MQTT 5 said it takes. */
export interface Granted {
  readonly receiveMaximum?: number
  readonly maximumPacketSize?: number
  readonly maximumQoS?: number
}

export interface BrokerClientOptions {
  readonly broker: BrokerOptions
  readonly will: { readonly topic: string; readonly payload: Buffer } | undefined
  /** Ping also while we speak, which finds out a dead broker soon; costs bytes. */
  readonly alwaysPing: boolean
}

export interface BrokerEvents {
  /** The broker has let us in. */
  readonly accepted: (granted: Granted) => void
  readonly message: (topic: string, payload: Uint8Array, retained: boolean) => void
  /** The connection is over, or never came to be; only the first time counts. */
  readonly gone: (error: TransportError) => void
}

/** Dials at once, with a clean session, and never again by itself. */
export interface BrokerClient {
  /** `done` once the broker has it (QoS 1) or it has left (0), or never will; with the broker's reason code where it refused this one. */
  readonly publish: (topic: string, payload: Buffer, qos: 0 | 1, done: (code: number | undefined) => void) => void
  /** `done` with a code for each topic; never, where the connection ends before. */
  readonly subscribe: (topics: ReadonlyArray<string>, done: (codes: ReadonlyArray<number>) => void) => void
  readonly unsubscribe: (topics: ReadonlyArray<string>, done: () => void) => void
  /** Says goodbye where everything was acknowledged, so that the will stays unsaid. */
  readonly leave: Effect.Effect<void>
  readonly cut: () => void
}

/** May throw where the settings cannot be used. */
export type OpenBrokerClient = (options: BrokerClientOptions, events: BrokerEvents) => BrokerClient
