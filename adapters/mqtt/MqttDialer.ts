/** The agent's way to its operator through an MQTT broker: one broker connection for each connection of the link. */
import { Effect } from "effect"
import { type Dialer, TransportError } from "../../core/link/Transport.ts"
import type { BrokerOptions } from "./MqttBroker.ts"

export interface MqttDialerOptions {
  readonly broker: BrokerOptions
  /** The operator is heard on `<topicNamespace>/cmd`; we speak on `/msg` and `/status`. */
  readonly topicNamespace: string
}

/**
 * Connects once and never again by itself: the link dials. `Rejected` where the broker does not accept client id, credentials,
 * certificate or subscription. A connection does not prove that an operator listens: the handshake does.
 */
export const makeMqttDialer = (_options: MqttDialerOptions): Dialer => ({
  method: "mqtt",
  connect: Effect.fail(new TransportError({ reason: "Refused", detail: "not there yet" }))
})
