/** The ways that a device has to its operators, best first: directly, through a broker, or both. Faults befall one of them, or all. */
import { Effect } from "effect"
import { secretLength } from "../../adapters/mqtt/envelope.ts"
import { makeMqttAcceptor } from "../../adapters/mqtt/MqttAcceptor.ts"
import type { BrokerOptions } from "../../adapters/mqtt/MqttBroker.ts"
import { makeMqttDialer } from "../../adapters/mqtt/MqttDialer.ts"
import type { SecureRandom } from "../../core/link/SecureRandom.ts"
import type { Dialer, TransportError } from "../../core/link/Transport.ts"
import type { OpenBroker } from "../../core/operator/Brokers.ts"
import type { BrokerLine } from "../fakes/MemoryBroker.ts"
import type { MemoryTransportControls } from "../fakes/MemoryTransport.ts"

export type Method = "memory" | "mqtt"

/** One way. */
export interface Way {
  readonly method: Method
  readonly cut: Effect.Effect<void>
  /** Nothing arrives on either side, and nobody notices. */
  readonly darken: (dark: boolean) => Effect.Effect<void>
  readonly refuse: (reason: TransportError["reason"] | undefined) => Effect.Effect<void>
}

/** What a device is made with. */
export interface Reach {
  /** Best first. */
  readonly ways: ReadonlyArray<Way>
  readonly dialers: ReadonlyArray<Dialer>
  /** All ways at once, as the faults of any link see them. */
  readonly transport: MemoryTransportControls
  /** Of its EdgeDevice's spec. */
  readonly connectivity: object
}

const wayOf = (direct: MemoryTransportControls): Way => ({
  method: "memory",
  cut: direct.cut(),
  darken: (blackHole) => direct.weather({ blackHole }),
  refuse: direct.refuse
})

export const directly = (direct: MemoryTransportControls): Reach => ({
  ways: [wayOf(direct)],
  dialers: [direct.dialer],
  transport: direct,
  connectivity: { method: "grpc" }
})

const address = { host: "broker", port: 1883 }
export const topicNamespaceOf = (device: string): string => `site/${device}`

/** All that happens to a link happens to both; a broker's line is TCP: what is not dark arrives. */
const both = (direct: MemoryTransportControls, line: BrokerLine): MemoryTransportControls => ({
  ...direct,
  weather: (change, direction) =>
    Effect.andThen(
      direct.weather(change, direction),
      Effect.gen(function*() {
        if (change.blackHole !== undefined) yield* line.darken(change.blackHole)
        if (change.delayMillis !== undefined) yield* line.delay(change.delayMillis)
      })
    ),
  refuse: (reason) => Effect.andThen(direct.refuse(reason), line.refuse(reason)),
  cut: (why) => Effect.andThen(direct.cut(why), line.cut(why)),
  diary: Effect.zipWith(direct.diary, line.diary, (ours, theirs) => [...ours, ...theirs]),
  open: Effect.map(direct.open, (open) => open + line.connected())
})

/** Through a broker, too: `methods` says which way is the better one. */
export const through =
  (name: string, line: BrokerLine, methods: ReadonlyArray<Method>, random: SecureRandom["Service"]) =>
  (direct: MemoryTransportControls): Reach => {
    const topicNamespace = topicNamespaceOf(name)
    const ways: { readonly [method in Method]: Way } = {
      memory: wayOf(direct),
      mqtt: { method: "mqtt", cut: line.cut(), darken: line.darken, refuse: line.refuse }
    }
    const dialers: { readonly [method in Method]: Dialer } = {
      memory: direct.dialer,
      mqtt: makeMqttDialer({
        broker: { ...address, transport: "tcp", version: "3.1.1", clientId: `arhat-${name}` },
        topicNamespace,
        open: line.open,
        secret: random.bytes(secretLength)
      })
    }
    return {
      ways: methods.map((method) => ways[method]),
      dialers: methods.map((method) => dialers[method]),
      transport: both(direct, line),
      connectivity: { method: "mqtt", mqtt: { broker: `${address.host}:${address.port}`, topicNamespace } }
    }
  }

/** The operator's side, over its own line. */
export const openBrokerOver = (line: BrokerLine, clientId: string): OpenBroker => (access, task) => {
  const { host, keepaliveMillis, maxPayload, port, version } = access
  const broker: BrokerOptions = {
    host,
    port,
    version,
    maxPayload,
    transport: "tcp",
    clientId,
    keepalive: keepaliveMillis
  }
  return makeMqttAcceptor({
    broker,
    open: line.open,
    topicNamespaces: task.topicNamespaces,
    onState: (state) =>
      task.onState(state.status === "Connected" ? { _tag: "Up" } : { _tag: "Down", why: state.error.message }),
    onNamespaceRefused: task.onRefused
  })
}
