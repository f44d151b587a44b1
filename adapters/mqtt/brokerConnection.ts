/** One connection to a broker as the link wants it: clean session, QoS 1 unless told, never reconnecting by itself, nothing unbounded. */
import { Deferred, Duration, Effect, FiberSet, type Scope } from "effect"
import { TransportError } from "../../core/link/Transport.ts"
import type { BrokerClientOptions, Granted, OpenBrokerClient } from "./BrokerClient.ts"
import type { Confirmation } from "./brokeredEnd.ts"
import { packetLimit } from "./brokerStream.ts"
import { Gate } from "./Gate.ts"
import { describeBroker } from "./MqttBroker.ts"
import { openMqttClient } from "./mqttClient.ts"
import { reasonCodeError, streamError } from "./trouble.ts"

/** Bytes that one connection may have handed to its broker without being acknowledged. */
const unacknowledgedBytes = 4 * 1024 * 1024
/** Publishes; AWS IoT Core's quota of those of one client is 100. */
const unacknowledged = { standard: 1000, "aws-iot-core": 100 }
/** AWS IoT Core throws away what one client publishes beyond 100 in a second: five stretches of this touch any second. */
const pace = { standard: undefined, "aws-iot-core": { count: 18, millis: 250 } }
/** Hints that may wait for the broker. */
const urgentHints = 4096
/** AWS IoT Core's quota of topics in one SUBSCRIBE. */
const topicsAtOnce = { standard: 100, "aws-iot-core": 8 }
/** How long what was sent may take to leave before the connection is cut. */
const flushLimit = { standard: Duration.seconds(1), "aws-iot-core": Duration.seconds(4) }

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

export interface BrokerConnectionOptions extends BrokerClientOptions {
  /** Called for everything that is not retained. */
  readonly onMessage: (topic: string, payload: Uint8Array) => void
  /** Who speaks MQTT; absent: the mqtt package. */
  readonly open?: OpenBrokerClient | undefined
}

export const defaultConnectTimeout = Duration.seconds(20)

/** Connects, without a limit of time; the scope ends it, with a DISCONNECT if everything could be sent before. */
export const connectToBroker = Effect.fnUntraced(function*(
  options: BrokerConnectionOptions
): Effect.fn.Return<BrokerConnection, TransportError, Scope.Scope> {
  const { broker, onMessage, open = openMqttClient } = options
  const { variant = "standard" } = broker
  const ended = yield* Deferred.make<TransportError>()
  const accepted = yield* Deferred.make<Granted>()
  let gate = new Gate({ count: 0, bytes: 0, urgent: 0 })
  // It outlives the client, whose last words keep the pace, too.
  const fork = yield* FiberSet.makeRuntime()
  const later = (millis: number, work: () => void) => void fork(Effect.delay(Effect.sync(work), millis))

  const client = yield* Effect.acquireRelease(
    Effect.try({
      try: () =>
        open(options, {
          accepted: (granted) => void Deferred.doneUnsafe(accepted, Effect.succeed(granted)),
          message: (topic, payload, retained) => {
            if (!retained) onMessage(topic, payload)
          },
          gone: (error) => {
            Deferred.doneUnsafe(ended, Effect.succeed(error))
            gate.close()
          }
        }),
      catch: (error) => streamError(broker, error, false)
    }),
    (client) =>
      Effect.gen(function*() {
        const flushed = yield* Effect.timeoutOption(
          Effect.callback<void>((resume) => Effect.sync(gate.whenIdle(() => resume(Effect.void)))),
          flushLimit[variant]
        )
        if (flushed._tag === "Some") yield* Effect.timeoutOption(client.leave, flushLimit[variant])
        client.cut()
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
  const { [variant]: paced } = pace
  gate = new Gate({
    count: Math.min(unacknowledged[variant], receiveMaximum),
    bytes: unacknowledgedBytes,
    urgent: urgentHints,
    ...(paced === undefined ? {} : { pace: { ...paced, later } })
  })
  if (yield* Deferred.isDone(ended)) gate.close()

  const handOver = (topic: string, payload: Buffer, { confirmation, refused }: PublishOptions = {}) => {
    client.publish(topic, payload, confirmation?.wanted() === false ? 0 : 1, (code) => {
      confirmation?.settled()
      gate.leave(payload.length)
      if (code !== undefined) refused?.(reasonCodeError(broker, code, true))
    })
  }

  const limit = Duration.fromInputUnsafe(broker.connectTimeout ?? defaultConnectTimeout)
  /** A broker that answers pings and nothing else is as good as gone. */
  const answered = <A>(what: string, ask: (done: (answer: A) => void) => void): Effect.Effect<A, TransportError> =>
    Effect.raceFirst(Effect.callback<A>((resume) => ask((answer) => resume(Effect.succeed(answer)))), failed).pipe(
      Effect.timeoutOrElse({
        duration: limit,
        orElse: () =>
          Effect.fail(
            new TransportError({
              reason: "Lost",
              detail: `${describeBroker(broker)}: no answer to ${what} within ${Duration.format(limit)}`
            })
          )
      })
    )

  /** Those of the topics that the broker's SUBACK refuses. */
  const subscribeTo = (topics: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>, TransportError> =>
    Effect.map(
      answered<ReadonlyArray<number>>("SUBSCRIBE", (done) => client.subscribe(topics, done)),
      (codes) => topics.filter((_, at) => (Number(codes[at]) & 0x80) !== 0)
    )

  const unsubscribeFrom = (topics: ReadonlyArray<string>) =>
    answered<void>("UNSUBSCRIBE", (done) => client.unsubscribe(topics, done))

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
