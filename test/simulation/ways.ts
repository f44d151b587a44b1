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
import type { Direction, MemoryTransportControls } from "../fakes/MemoryTransport.ts"

export type Method = "memory" | "mqtt"

/** One way. */
export interface Way {
  readonly method: Method
  readonly cut: Effect.Effect<void>
  /** Nothing arrives on either side, and nobody notices. */
  readonly darken: (dark: boolean) => Effect.Effect<void>
  readonly refuse: (reason: TransportError["reason"] | undefined) => Effect.Effect<void>
}

type Fate = Pick<Way, "darken" | "refuse">

/** What befalls a device's whole link and what befalls this way alone: each lasts until its own end. */
const layered = (line: {
  readonly darken: (dark: Readonly<Record<Direction, boolean>>) => Effect.Effect<void>
  readonly refuse: Way["refuse"]
}) => {
  const link = { toOperator: false, toDevice: false, refusal: undefined as TransportError["reason"] | undefined }
  const own = { dark: false, refusal: undefined as TransportError["reason"] | undefined }
  const darken = Effect.suspend(() =>
    line.darken({ toOperator: own.dark || link.toOperator, toDevice: own.dark || link.toDevice })
  )
  const refuse = Effect.suspend(() => line.refuse(own.refusal ?? link.refusal))
  const alone: Fate = {
    darken: (dark) => Effect.andThen(Effect.sync(() => void (own.dark = dark)), darken),
    refuse: (reason) => Effect.andThen(Effect.sync(() => void (own.refusal = reason)), refuse)
  }
  return {
    alone,
    link: {
      darken: (dark: boolean, direction?: Direction) =>
        Effect.suspend(() => {
          if (direction !== "toDevice") link.toOperator = dark
          if (direction !== "toOperator") link.toDevice = dark
          return darken
        }),
      refuse: (reason: TransportError["reason"] | undefined) =>
        Effect.andThen(Effect.sync(() => void (link.refusal = reason)), refuse)
    }
  }
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

export const directly = (direct: MemoryTransportControls): Reach => ({
  ways: [{
    method: "memory",
    cut: direct.cut(),
    darken: (blackHole) => direct.weather({ blackHole }),
    refuse: direct.refuse
  }],
  dialers: [direct.dialer],
  transport: direct,
  connectivity: { method: "grpc" }
})

const address = { host: "broker", port: 1883 }
export const topicNamespaceOf = (device: string): string => `site/${device}`

type Layers = ReturnType<typeof layered>

/** All that happens to a link happens to both; a broker's line is TCP: what is not dark arrives. */
const both = (
  direct: MemoryTransportControls,
  line: BrokerLine,
  layers: Readonly<Record<Method, Layers>>
): MemoryTransportControls => ({
  ...direct,
  weather: ({ blackHole, ...change }, direction) =>
    Effect.gen(function*() {
      yield* direct.weather(change, direction)
      if (change.delayMillis !== undefined) yield* line.delay(change.delayMillis)
      if (blackHole === undefined) return
      yield* layers.memory.link.darken(blackHole, direction)
      yield* layers.mqtt.link.darken(blackHole, direction)
    }),
  refuse: (reason) => Effect.andThen(layers.memory.link.refuse(reason), layers.mqtt.link.refuse(reason)),
  cut: (why) => Effect.andThen(direct.cut(why), line.cut(why)),
  diary: Effect.zipWith(direct.diary, line.diary, (ours, theirs) => [...ours, ...theirs]),
  open: Effect.map(direct.open, (open) => open + line.connected())
})

/** Through a broker, too: `methods` says which way is the better one. */
export const through =
  (name: string, line: BrokerLine, methods: ReadonlyArray<Method>, random: SecureRandom["Service"]) =>
  (direct: MemoryTransportControls): Reach => {
    const topicNamespace = topicNamespaceOf(name)
    const layers = {
      memory: layered({
        darken: ({ toDevice, toOperator }) =>
          Effect.andThen(
            direct.weather({ blackHole: toOperator }, "toOperator"),
            direct.weather({ blackHole: toDevice }, "toDevice")
          ),
        refuse: direct.refuse
      }),
      // A connection of which one direction is dead is dead.
      mqtt: layered({ darken: ({ toDevice, toOperator }) => line.darken(toDevice || toOperator), refuse: line.refuse })
    }
    const ways: { readonly [method in Method]: Way } = {
      memory: { method: "memory", cut: direct.cut(), ...layers.memory.alone },
      mqtt: { method: "mqtt", cut: line.cut(), ...layers.mqtt.alone }
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
      transport: both(direct, line, layers),
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
    backoff: task.backoff,
    isShared: task.isLeft,
    onState: (state) =>
      task.onState(state.status === "Connected" ? { _tag: "Up" } : { _tag: "Down", why: state.error.message }),
    onNamespaceRefused: task.onRefused
  })
}
