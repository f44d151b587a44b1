/** One connection to a broker as the link wants it: clean session, QoS 1 unless told, never reconnecting by itself, nothing unbounded. */
import { Deferred, Duration, Effect, Redacted, type Scope } from "effect"
import { type IClientOptions, type IPublishPacket, MqttClient } from "mqtt"
import { TransportError } from "../../core/link/Transport.ts"
import type { Confirmation } from "./brokeredEnd.ts"
import { openBrokerStream, packetLimit } from "./brokerStream.ts"
import { Gate } from "./Gate.ts"
import { type BrokerOptions, describeBroker } from "./MqttBroker.ts"
import { endedError, reasonCodeError, streamError } from "./trouble.ts"

/** Bytes that one connection may have handed to its broker without being acknowledged. */
const unacknowledgedBytes = 4 * 1024 * 1024
/** Publishes; AWS IoT Core's quota of those of one client is 100. */
const unacknowledged = { standard: 1000, "aws-iot-core": 100 }
/** Hints that may wait for the broker. */
const urgentHints = 4096
/** AWS IoT Core's quota of topics in one SUBSCRIBE. */
const topicsAtOnce = { standard: 100, "aws-iot-core": 8 }
/** How long what was sent may take to leave before the connection is cut. */
const flushLimit = Duration.seconds(1)

export interface PublishOptions {
  /** Called if MQTT 5 says no to this one. */
  readonly refused?: (error: TransportError) => void
  /** Absent: QoS 1, always. */
  readonly confirmation?: Confirmation
}

export interface BrokerConnection {
  /** Done once it is the broker's turn; waits while that has too much already. */
  readonly publish: (
    topic: string,
    payload: Buffer,
    options?: PublishOptions
  ) => Effect.Effect<void, TransportError>
  /** At once, or as soon as there is room, or not at all. */
  readonly hint: (topic: string, payload: Buffer) => void
  /** Those that the broker refused. */
  readonly subscribe: (topics: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<string>, TransportError>
  readonly unsubscribe: (topics: ReadonlyArray<string>) => Effect.Effect<void, TransportError>
  /** Succeeds with the reason once the connection is gone. */
  readonly gone: Effect.Effect<TransportError>
}

export interface BrokerConnectionOptions {
  readonly broker: BrokerOptions
  readonly will: { readonly topic: string; readonly payload: Buffer } | undefined
  /** Called for everything that is not retained. */
  readonly onMessage: (topic: string, payload: Uint8Array) => void
  /** Ping also while we speak, which finds out a dead broker soon; costs bytes. */
  readonly alwaysPing: boolean
}

const defaultKeepalive = Duration.minutes(2)
export const defaultConnectTimeout = Duration.seconds(20)

const clientOptions = ({ alwaysPing, broker, will }: BrokerConnectionOptions): IClientOptions => {
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

/** What a broker of MQTT 5 said it takes. */
interface Granted {
  readonly receiveMaximum?: number
  readonly maximumPacketSize?: number
  readonly maximumQoS?: number
}

/** Connects, without a limit of time; the scope ends it, with a DISCONNECT if everything could be sent before. */
export const connectToBroker = Effect.fnUntraced(function*(
  options: BrokerConnectionOptions
): Effect.fn.Return<BrokerConnection, TransportError, Scope.Scope> {
  const { broker, onMessage } = options
  const { variant = "standard", version } = broker
  const ended = yield* Deferred.make<TransportError>()
  const accepted = yield* Deferred.make<Granted>()
  let connected = false
  let gate = new Gate({ count: 0, bytes: 0, urgent: 0 })
  const lose = (error: TransportError) => {
    Deferred.doneUnsafe(ended, Effect.succeed(error))
    gate.close()
  }

  const client = yield* Effect.acquireRelease(
    Effect.try({
      try: () => {
        const client = new MqttClient(() => {
          const stream = openBrokerStream(broker)
          stream.on("error", (error) => lose(streamError(broker, error, connected)))
          return stream
        }, clientOptions(options))
        client.on("error", (error) => lose(streamError(broker, error, connected)))
        client.on("disconnect", ({ reasonCode = 0 }) => lose(reasonCodeError(broker, reasonCode, connected)))
        client.on("close", () => lose(endedError(broker, connected)))
        client.once("connect", ({ properties }) => {
          connected = true
          Deferred.doneUnsafe(accepted, Effect.succeed(properties ?? {}))
        })
        client.on("message", (topic: string, payload: Buffer, packet: IPublishPacket) => {
          // The library counts only confirmations as life; by QoS 0 there are none, and it would ping besides each beat.
          client.reschedulePing()
          if (!packet.retain) onMessage(topic, payload)
        })
        return client
      },
      catch: (error) => streamError(broker, error, false)
    }),
    (client) =>
      Effect.gen(function*() {
        const flushed = yield* Effect.timeoutOption(
          Effect.callback<void>((resume) => Effect.sync(gate.whenIdle(() => resume(Effect.void)))),
          flushLimit
        )
        if (client.connected && flushed._tag === "Some" && Object.keys(client.outgoing).length === 0) {
          yield* Effect.timeoutOption(
            Effect.callback<void>((resume) => void client.end(false, {}, () => resume(Effect.void))),
            flushLimit
          )
        }
        client.end(true)
        client.stream.destroy()
      })
  )

  const failed = Effect.flatMap(Deferred.await(ended), (error) => Effect.fail(error))
  const granted = yield* Effect.raceFirst(Deferred.await(accepted), failed)
  const { maximumPacketSize = Number.MAX_SAFE_INTEGER, maximumQoS = 1, receiveMaximum = 65_535 } = granted
  if (maximumQoS < 1) return yield* reasonCodeError(broker, 0x9B, false)
  if (maximumPacketSize < packetLimit(broker)) {
    return yield* new TransportError({
      reason: "Refused",
      detail:
        `${describeBroker(broker)}: the broker takes packets of at most ${maximumPacketSize} bytes, which is less than `
        + `${packetLimit(broker)}: set a smaller maximum payload size on both ends`
    })
  }
  gate = new Gate({
    count: Math.min(unacknowledged[variant], receiveMaximum),
    bytes: unacknowledgedBytes,
    urgent: urgentHints
  })
  if (yield* Deferred.isDone(ended)) gate.close()

  const handOver = (topic: string, payload: Buffer, { confirmation, refused }: PublishOptions = {}) => {
    client.publish(topic, payload, { qos: confirmation?.wanted() === false ? 0 : 1 }, (error) => {
      confirmation?.settled()
      gate.leave(payload.length)
      const code = (error as { readonly code?: unknown } | undefined)?.code
      if (typeof code === "number") refused?.(reasonCodeError(broker, code, true))
    })
  }

  /** Those of the topics that the broker's SUBACK refuses. */
  const subscribeTo = (topics: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>, TransportError> =>
    Effect.raceFirst(
      Effect.callback<ReadonlyArray<string>>((resume) => {
        client.subscribe([...topics], version === "5" ? { qos: 1, rap: true, rh: 2 } : { qos: 1 }, (_, __, packet) => {
          // Without an answer the connection is gone, which the other side of this race tells.
          if (packet === undefined) return
          resume(Effect.succeed(topics.filter((_, at) => (Number(packet.granted[at]) & 0x80) !== 0)))
        })
      }),
      failed
    )

  const unsubscribeFrom = (topics: ReadonlyArray<string>) =>
    Effect.raceFirst(
      Effect.callback<void>((resume) => void client.unsubscribe([...topics], () => resume(Effect.void))),
      failed
    )

  const inBatches = (topics: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => {
    const size = topicsAtOnce[variant]
    return Array.from({ length: Math.ceil(topics.length / size) }, (_, n) => topics.slice(n * size, (n + 1) * size))
  }

  const connection: BrokerConnection = {
    publish: (topic, payload, options) =>
      Effect.callback((resume) =>
        Effect.sync(gate.enter(payload.length, () => {
          handOver(topic, payload, options)
          resume(Effect.void)
        }, () => resume(failed)))
      ),
    hint: (topic, payload) => gate.hurry(payload.length, () => handOver(topic, payload)),
    subscribe: (topics) => Effect.map(Effect.forEach(inBatches(topics), subscribeTo), (refused) => refused.flat()),
    unsubscribe: (topics) => Effect.forEach(inBatches(topics), unsubscribeFrom, { discard: true }),
    gone: Deferred.await(ended)
  }
  return connection
})
