/** The operator's door at an MQTT broker: one broker connection that serves the devices of many topic namespaces. */
import { type Duration, Effect, type Stream } from "effect"
import { type Acceptor, TransportError } from "../../core/link/Transport.ts"
import type { BrokerOptions } from "./MqttBroker.ts"

/** What is known of the broker at this moment. */
export type BrokerState =
  | { readonly status: "Connected" }
  | {
    readonly status: "Disconnected"
    readonly error: TransportError
    /** Milliseconds until the next attempt. */
    readonly retryMillis: number
  }

export interface MqttAcceptorOptions {
  readonly broker: BrokerOptions
  /**
   * Each element is all namespaces served from now on: subscriptions are added before others are taken away, those that stay
   * are not touched. A namespace the broker does not let us subscribe to is told by `onNamespaceRefused`.
   */
  readonly topicNamespaces: Stream.Stream<ReadonlyArray<string>>
  /** Capped exponential with full jitter; a credential that was not accepted waits between half and all of `maxDelay`. */
  readonly backoff?: {
    /** Absent: 1 second. */
    readonly initialDelay?: Duration.Input
    /** Absent: 30 seconds. */
    readonly maxDelay?: Duration.Input
    /** Absent: 1.5. */
    readonly factor?: number
  }
  /** Connections at once, over all namespaces; more are not taken up. Absent: 20000. */
  readonly maxConnections?: number
  /** Told each change, and each failed attempt. */
  readonly onState?: (state: BrokerState) => Effect.Effect<void>
  /** The broker does not allow a subscription (its ACL), or the name is none it could have. Tried again at the next connection. */
  readonly onNamespaceRefused?: (topicNamespace: string, why: string) => Effect.Effect<void>
}

/** Never fails: a broker that cannot be reached is tried for ever, and `onState` tells why. */
export const makeMqttAcceptor = (_options: MqttAcceptorOptions): Acceptor => ({
  method: "mqtt",
  run: () => Effect.fail(new TransportError({ reason: "Refused", detail: "not there yet" }))
})
