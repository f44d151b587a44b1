/** The agent's way to its operator through an MQTT broker: one broker connection for each connection of the link. */
import { Clock, Duration, Effect, Exit, Latch, Random, Scope } from "effect"
import { type Dialer, TransportError } from "../../core/link/Transport.ts"
import type { OpenBrokerClient } from "./BrokerClient.ts"
import { type BrokerConnection, connectToBroker, defaultConnectTimeout } from "./brokerConnection.ts"
import { type BrokeredEnd, makeBrokeredEnd } from "./brokeredEnd.ts"
import { brokerProblems, namespaceProblem } from "./brokerRules.ts"
import { creditIn, decode, encode, encodeCredit, headerLength, Kind, newConnectionId } from "./envelope.ts"
import { type BrokerOptions, describeBroker, maxPayloadOf } from "./MqttBroker.ts"
import { topicsOf } from "./topics.ts"

export interface MqttDialerOptions {
  readonly broker: BrokerOptions
  /** The operator is heard on `<topicNamespace>/cmd`; we speak on `/msg` and `/status`. */
  readonly topicNamespace: string
  /** Who speaks MQTT; absent: the mqtt package. */
  readonly open?: OpenBrokerClient
  /** `secretLength` bytes that nobody can guess, new for each connection; absent: of node:crypto. */
  readonly secret?: Effect.Effect<Uint8Array>
}

/** Whoever is made to doubt again and again asks no more often than this. */
const assuredMillis = 5000

/** When in doubt whether the operator still knows this connection, it is asked twice, and has this long to answer, or a little more. */
const doubtMillis = 4000

/**
 * Connects once and never again by itself: the link dials. `Rejected` where the broker does not accept client id, credentials,
 * certificate or subscription. A connection does not prove that an operator listens: the handshake does.
 */
export const makeMqttDialer = ({ broker, open, secret: given, topicNamespace }: MqttDialerOptions): Dialer => {
  const { variant } = broker
  const limit = Duration.fromInputUnsafe(broker.connectTimeout ?? defaultConnectTimeout)
  const topics = topicsOf(topicNamespace)
  const where = describeBroker(broker)
  const maxFrame = maxPayloadOf(broker) - headerLength

  const dial = Effect.gen(function*() {
    const problem = namespaceProblem(topicNamespace, variant) ?? brokerProblems(broker)[0]
    if (problem !== undefined) return yield* new TransportError({ reason: "Rejected", detail: `${where}: ${problem}` })
    const { id, secret } = newConnectionId(given && (yield* given))
    const parent = yield* Effect.scope
    const clock = yield* Clock.Clock
    const doubted = Latch.makeUnsafe()
    const assured = Latch.makeUnsafe()
    let heard = false
    let end: BrokeredEnd | undefined

    const onMessage = (topic: string, payload: Uint8Array) => {
      const message = topic === topics.command ? decode(payload) : undefined
      if (message === undefined || end === undefined) return
      if (message.kind === Kind.Doubt) return void doubted.openUnsafe()
      if (message.id !== id) return
      switch (message.kind) {
        case Kind.Frame:
          heard = true
          return end.offer(message.body)
        case Kind.Credit:
          return end.taken(creditIn(message))
        case Kind.Here:
          return void assured.openUnsafe()
        // Anybody could say so.
        case Kind.End:
          return void doubted.openUnsafe()
      }
    }

    const connected = yield* connectToBroker({
      broker,
      will: { topic: topics.status, payload: encode(Kind.End, id, secret) },
      onMessage,
      alwaysPing: false,
      open
    })
    const made = makeBrokeredEnd({
      description: `mqtt ${where} ${topicNamespace} ${id}`,
      maxFrame,
      clock,
      pool: { used: 0, most: Number.MAX_SAFE_INTEGER },
      transmit: (frame, confirmation) =>
        connected.publish(topics.message, encode(heard ? Kind.Frame : Kind.Open, id, frame), {
          confirmation,
          refused: (error) => made.lose(error)
        }),
      // By the first ones a broker of MQTT 5 says whether it lets us speak here.
      confirmsAll: () => !heard,
      tellTaken: (taken) => connected.hint(topics.message, encodeCredit(id, taken)),
      proven: Effect.void
    })
    end = made
    yield* Effect.forkIn(Effect.map(connected.gone, made.lose), parent)
    yield* Effect.addFinalizer(() => Effect.sync(() => connected.hint(topics.message, encode(Kind.End, id, secret))))

    const refused = yield* connected.subscribe([topics.command])
    if (refused.length > 0) {
      return yield* new TransportError({
        reason: "Rejected",
        detail: `${where}: the broker does not let this client subscribe to ${topics.command}: see its access rules`
      })
    }
    yield* Effect.forkIn(
      askWhenInDoubt(connected, made, doubted, assured, topics.message, encode(Kind.Ask, id)),
      parent
    )
    return made.connection
  }).pipe(
    Effect.timeoutOrElse({
      duration: limit,
      orElse: () =>
        Effect.fail(
          new TransportError({ reason: "Refused", detail: `${where}: no answer within ${Duration.format(limit)}` })
        )
    })
  )

  return {
    method: "mqtt",
    maxFrame,
    // What a failed attempt made is gone before the failure is told.
    connect: Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const scope = yield* Effect.flatMap(Effect.scope, (parent) => Scope.fork(parent))
        return yield* restore(Scope.provide(dial, scope)).pipe(
          Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void)
        )
      })
    )
  }
}

/** The operator may have ended this connection, or have been started anew; or a stranger wants us to believe it. */
const askWhenInDoubt = (
  connected: BrokerConnection,
  end: BrokeredEnd,
  doubted: Latch.Latch,
  assured: Latch.Latch,
  topic: string,
  question: Buffer
) =>
  Effect.gen(function*() {
    while (true) {
      yield* doubted.await
      yield* assured.close
      let known = false
      for (let time = 0; time < 2 && !known; time++) {
        connected.hint(topic, question)
        const half = doubtMillis / 2 * (1 + (yield* Random.next))
        known = (yield* Effect.timeoutOption(assured.await, half))._tag === "Some"
      }
      if (!known) break
      yield* doubted.close
      yield* Effect.sleep(assuredMillis)
    }
    end.lose(new TransportError({ reason: "Lost", detail: "the operator does not know this connection any more" }))
  })
