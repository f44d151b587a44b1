/** Opens the operator's connection to a broker; the program for it is loaded when the first EdgeDevice asks for one. */
import { Effect, Redacted } from "effect"
import { Hex } from "effect/encoding"
import type { BrokerOptions } from "../../adapters/mqtt/MqttBroker.ts"
import { SecureRandom } from "../../core/link/SecureRandom.ts"
import type { BrokerAccess, BrokerState, OpenBroker } from "../../core/operator/Brokers.ts"

const transportOf = ({ tls, transport }: BrokerAccess): BrokerOptions["transport"] =>
  transport === "tcp" ? (tls === undefined ? "tcp" : "tls") : tls === undefined ? "websocket" : "secure websocket"

const tlsOf = ({ ca, identity, serverName }: NonNullable<BrokerAccess["tls"]>): NonNullable<BrokerOptions["tls"]> => ({
  ...(ca === undefined ? {} : { ca }),
  ...(identity === undefined ? {} : { identity: { cert: identity.cert, key: Redacted.value(identity.key) } }),
  ...(serverName === undefined ? {} : { serverName })
})

const optionsOf = (access: BrokerAccess, clientId: string): BrokerOptions => ({
  host: access.host,
  port: access.port,
  transport: transportOf(access),
  path: access.websocketPath,
  version: access.version,
  variant: access.variant,
  ...(access.tls === undefined ? {} : { tls: tlsOf(access.tls) }),
  ...(access.login === undefined ? {} : access.login),
  clientId,
  keepalive: access.keepaliveMillis,
  maxPayload: access.maxPayload
})

export const openBroker = Effect.map(SecureRandom, (random): OpenBroker => (access, task) => ({
  method: "mqtt",
  run: Effect.fnUntraced(function*(serve) {
    const { makeMqttAcceptor } = yield* Effect.promise(() => import("../../adapters/mqtt/MqttAcceptor.ts"))
    // Of this process alone: a broker ends the connection of whoever comes with the same one.
    const clientId = access.clientId ?? `aranya-${Hex.encode(yield* random.bytes(6))}`
    return yield* makeMqttAcceptor({
      broker: optionsOf(access, clientId),
      topicNamespaces: task.topicNamespaces,
      backoff: task.backoff,
      isShared: task.isLeft,
      onState: (state) =>
        task.onState(
          state.status === "Connected"
            ? { _tag: "Up" } satisfies BrokerState
            : { _tag: "Down", why: state.error.message }
        ),
      onNamespaceRefused: task.onRefused
    }).run(serve)
  })
}))
