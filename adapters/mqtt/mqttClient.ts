/** The mqtt package over a socket or a websocket, held to one connection: it neither dials again nor keeps anything for later. */
import { Duration, Effect, Redacted } from "effect"
import { type IClientOptions, type IPublishPacket, MqttClient } from "mqtt"
import type { BrokerClientOptions, OpenBrokerClient } from "./BrokerClient.ts"
import { openBrokerStream, packetLimit } from "./brokerStream.ts"
import { endedError, reasonCodeError, streamError } from "./trouble.ts"

const defaultKeepalive = Duration.minutes(2)

const clientOptions = ({ alwaysPing, broker, will }: BrokerClientOptions): IClientOptions => {
  const { clientId, keepalive = defaultKeepalive, password, username, version } = broker
  const five = version === "5"
  return {
    protocolId: "MQTT",
    protocolVersion: five ? 5 : 4,
    clientId,
    clean: true,
    keepalive: Math.max(1, Math.round(Duration.toSeconds(Duration.fromInputUnsafe(keepalive)))),
    reschedulePings: !alwaysPing,
    timerVariant: "native",
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    // Ours is the limit that counts.
    connectTimeout: 2_147_483_647,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: Redacted.value(password) }),
    ...(will === undefined ? {} : { will: { ...will, qos: 1, retain: false } }),
    ...(five ? { properties: { maximumPacketSize: packetLimit(broker) + 5, sessionExpiryInterval: 0 } } : {})
  }
}

export const openMqttClient: OpenBrokerClient = (options, { accepted, gone, message }) => {
  const { broker } = options
  let connected = false
  const client = new MqttClient(() => {
    const stream = openBrokerStream(broker)
    stream.on("error", (error) => gone(streamError(broker, error, connected)))
    return stream
  }, clientOptions(options))
  client.on("error", (error) => gone(streamError(broker, error, connected)))
  client.on("disconnect", ({ reasonCode = 0 }) => gone(reasonCodeError(broker, reasonCode, connected)))
  client.on("close", () => gone(endedError(broker, connected)))
  client.once("connect", ({ properties }) => {
    connected = true
    accepted(properties ?? {})
  })
  client.on("message", (topic: string, payload: Buffer, packet: IPublishPacket) => {
    // The library counts only confirmations as life; by QoS 0 there are none, and it would ping besides each beat.
    client.reschedulePing()
    message(topic, payload, packet.retain)
  })
  return {
    publish: (topic, payload, qos, done) => {
      client.publish(topic, payload, { qos }, (error) => {
        const code = (error as { readonly code?: unknown } | undefined)?.code
        done(typeof code === "number" ? code : undefined)
      })
    },
    subscribe: (topics, done) => {
      const five = broker.version === "5"
      client.subscribe([...topics], five ? { qos: 1, rap: true, rh: 2 } : { qos: 1 }, (_, __, packet) => {
        // Without an answer the connection is gone, which is told by itself.
        if (packet !== undefined) done(topics.map((_, at) => Number(packet.granted[at])))
      })
    },
    unsubscribe: (topics, done) => void client.unsubscribe([...topics], () => done()),
    leave: Effect.suspend(() =>
      client.connected && Object.keys(client.outgoing).length === 0
        ? Effect.callback<void>((resume) => void client.end(false, {}, () => resume(Effect.void)))
        : Effect.void
    ),
    cut: () => {
      client.end(true)
      client.stream.destroy()
    }
  }
}
