/** Where an MQTT broker is and how it is spoken to: what both ends of a link over it have in common. */
import type { Duration, Redacted } from "effect"

export interface BrokerTls {
  /** PEM of the authorities to trust; absent: those of the system. */
  readonly ca?: string | Uint8Array
  /** PEM of a client certificate, where the broker asks for one. */
  readonly identity?: { readonly key: string | Uint8Array; readonly cert: string | Uint8Array }
  /** The name the broker's certificate must bear, where it is not `host`. */
  readonly serverName?: string
  /** IANA names; absent: Node's own choice. `unknownCipherSuites` tells those that cannot be had. */
  readonly cipherSuites?: ReadonlyArray<string>
  /** Offers a key exchange that quantum computers are thought not to break, for 2.3 KB more in each handshake. */
  readonly hybridKeyExchange?: boolean
  /** Default 1.2. */
  readonly minVersion?: "1.2" | "1.3"
}

/** `tls` and `secure websocket` are encrypted below MQTT; the session's own encryption remains under each of them. */
export type BrokerTransport = "tcp" | "tls" | "websocket" | "secure websocket"

/**
 * `aws-iot-core`: nothing retained, at most 128 KiB, that service's rules of topics and client ids, and ALPN on every port but 8883: on 443 it
 * takes MQTT with client certificates by this name alone.
 */
export type BrokerVariant = "standard" | "aws-iot-core"

export interface BrokerOptions {
  /** A DNS name or an IP address. */
  readonly host: string
  readonly port: number
  readonly transport: BrokerTransport
  /** Of a websocket: `/mqtt` if absent. */
  readonly path?: string
  readonly version: "3.1.1" | "5"
  /** `standard` if absent. */
  readonly variant?: BrokerVariant
  /** Read with `tls` and `secure websocket` only. */
  readonly tls?: BrokerTls
  readonly username?: string
  readonly password?: Redacted.Redacted<string>
  /** One broker keeps one connection per client id: a second one ends the first. */
  readonly clientId: string
  /**
   * MQTT pings after this much silence of ours; absent: 2 minutes, longer than the session's beat, so that an idle link costs no
   * pings. Whole seconds, at most 65535.
   */
  readonly keepalive?: Duration.Input
  /** Bytes of one PUBLISH payload; both ends of a link need the same. Absent: 131072. */
  readonly maxPayload?: number
  /** From dialling until the broker has accepted us and our subscriptions, and later for its answer to each change of them. Absent: 20 seconds. */
  readonly connectTimeout?: Duration.Input
}

/** Bytes of an MQTT payload, if nothing is configured; also the most that AWS IoT Core takes. */
export const defaultMaxPayload = 128 * 1024

export const maxPayloadOf = ({ maxPayload = defaultMaxPayload, variant }: BrokerOptions): number =>
  variant === "aws-iot-core" ? Math.min(maxPayload, defaultMaxPayload) : maxPayload

/** For logs: no path, no user. */
export const describeBroker = ({ host, port }: BrokerOptions): string =>
  `${host.includes(":") ? `[${host}]` : host}:${port}`
