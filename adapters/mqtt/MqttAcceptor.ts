/** The operator's door at an MQTT broker: one broker connection that serves the devices of many topic namespaces. */
import { Clock, Deferred, Duration, Effect, FiberSet, Queue, Random, Scope, Stream } from "effect"
import { type Acceptor, type Connection, TransportError } from "../../core/link/Transport.ts"
import type { OpenBrokerClient } from "./BrokerClient.ts"
import { type BrokerConnection, connectToBroker, defaultConnectTimeout } from "./brokerConnection.ts"
import { type BackoffOptions, BrokerHealth } from "./BrokerHealth.ts"
import { brokerProblems, namespaceProblem } from "./brokerRules.ts"
import { encode, headerLength, Kind } from "./envelope.ts"
import { type BrokerOptions, describeBroker, maxPayloadOf } from "./MqttBroker.ts"
import { Switchboard } from "./Switchboard.ts"
import { awsSubscriptions, filtersFor, topicsOf } from "./topics.ts"

/** What is known of the broker at this moment. */
export type BrokerState =
  /** It lets us in, and keeps us: what we say first is confirmed, and where earlier connections did not last this one has. */
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
   * are not touched. The broker is dialed once there is a first element. A namespace the broker does not let us subscribe to is told by `onNamespaceRefused`.
   */
  readonly topicNamespaces: Stream.Stream<ReadonlyArray<string>>
  /** Asked anew each time; absent: all defaults. */
  readonly backoff?: () => BackoffOptions | undefined
  /** Connections at once, over all namespaces; more are not taken up. Absent: 20000. */
  readonly maxConnections?: number
  /** Told each change, and each failed attempt. */
  readonly onState?: (state: BrokerState) => Effect.Effect<void>
  /**
   * The broker does not allow a subscription (its ACL), or the name is none it could have; told again as long as it is so. Tried again
   * every few minutes, and at the next connection. Undefined: it is so no longer.
   */
  readonly onNamespaceRefused?: (topicNamespace: string, why: string | undefined) => Effect.Effect<void>
  /** Whether another operator may have devices in this namespace, too: nothing is said of connections that are not known here. */
  readonly isShared?: (topicNamespace: string) => boolean
  /** Who speaks MQTT; absent: the mqtt package. */
  readonly open?: OpenBrokerClient
}

const monotonicMillis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1_000_000n))

/** A broker that has not confirmed our first words by then may never do so, and be well all the same. */
const confirmationLimit = Duration.seconds(5)

/** What a broker refused it is asked for again after this, or up to half of it sooner: somebody may have mended its access rules. */
const askAgainMillis = 5 * 60_000

const everything = Number.MAX_SAFE_INTEGER

/** Never fails: a broker that cannot be reached is tried for ever, and `onState` tells why. */
export const makeMqttAcceptor = (options: MqttAcceptorOptions): Acceptor => {
  const { backoff, broker, onNamespaceRefused, onState, topicNamespaces } = options
  const where = describeBroker(broker)
  const limit = Duration.fromInputUnsafe(broker.connectTimeout ?? defaultConnectTimeout)
  const mostFilters = broker.variant === "aws-iot-core" ? awsSubscriptions : everything
  const noRoom =
    `${where}: one connection may have ${mostFilters} subscriptions: let devices share the levels above their own`
  const notAllowed = `${where}: the broker does not let us subscribe to its topics: see its access rules`
  const tell = (state: BrokerState) => onState?.(state) ?? Effect.void
  const refuse = (topicNamespace: string, why: string | undefined) =>
    onNamespaceRefused?.(topicNamespace, why) ?? Effect.void

  const run = Effect.fnUntraced(function*<R>(
    serve: (connection: Connection) => Effect.Effect<void, never, R | Scope.Scope>
  ) {
    const first = yield* Deferred.make<void>()
    let wanted: ReadonlySet<string> = new Set()
    /** Those whose devices have been told that their connections may be gone, by this broker connection and since they are wanted. */
    const announced = new Set<string>()
    /** Rung when `wanted` has changed: however often it did meanwhile, only the newest is of interest. */
    const bell = yield* Queue.sliding<void>(1)
    // Closed after the connections are, so that what they say at last still leaves.
    const brokerScope = yield* Effect.acquireRelease(Scope.make(), (scope, exit) => Scope.close(scope, exit))
    const fork = yield* FiberSet.makeRuntime<Exclude<R, Scope.Scope>>()
    const switchboard = new Switchboard({
      broker: where,
      maxFrame: maxPayloadOf(broker) - headerLength,
      maxConnections: options.maxConnections ?? 20_000,
      clock: yield* Clock.Clock,
      random: yield* Random.Random,
      isShared: options.isShared,
      serve: (connection, done) => {
        fork(
          Effect.scoped(serve(connection)).pipe(Effect.ensuring(Effect.sync(done))) as Effect.Effect<
            void,
            never,
            Exclude<R, Scope.Scope>
          >
        )
      }
    })

    yield* Stream.runForEach(topicNamespaces, (all) =>
      Effect.gen(function*() {
        const usable = new Set<string>()
        for (const topicNamespace of all) {
          const problem = namespaceProblem(topicNamespace, broker.variant)
          if (problem === undefined) usable.add(topicNamespace)
          else yield* refuse(topicNamespace, problem)
        }
        switchboard.serveNamespaces(usable)
        // Their connections are lost, also where they are wanted again before the broker has confirmed anything.
        for (const topicNamespace of announced) if (!usable.has(topicNamespace)) announced.delete(topicNamespace)
        wanted = usable
        yield* Queue.offer(bell, undefined)
        yield* Deferred.succeed(first, undefined)
      })).pipe(Effect.forkScoped)

    /** Devices keep what they have until they are told that it may be gone. Answers with what is done once that is confirmed. */
    const makeDoubt = Effect.fnUntraced(function*(connected: BrokerConnection, topicNamespace: string) {
      const confirmed = yield* Deferred.make<void>()
      yield* connected.publish(topicsOf(topicNamespace).command, encode(Kind.Doubt), {
        confirmation: { wanted: () => true, settled: () => Deferred.doneUnsafe(confirmed, Effect.void) }
      })
      return Deferred.await(confirmed)
    })

    /** What is done with a connection's subscriptions. */
    const subscriber = (connected: BrokerConnection) => {
      let present: ReadonlySet<string> = new Set()
      const refused = new Set<string>()
      let asksAgain = false
      /** By namespace: why it is not heard. */
      let unheard: ReadonlyMap<string, string> = new Map()
      announced.clear()
      /** Brings them to what is wanted now. Answers with what is done once the broker has confirmed it all. */
      const keepUp = Effect.fnUntraced(function*(namespaces: ReadonlySet<string>) {
        if (asksAgain) refused.clear()
        asksAgain = false
        const all = [...filtersFor(namespaces, mostFilters)]
        const filters = new Map(all.slice(0, mostFilters))
        for (const filter of refused) if (!filters.has(filter)) refused.delete(filter)
        const former = [...present].filter((filter) => !filters.has(filter))
        const added = [...filters.keys()].filter((filter) => !present.has(filter) && !refused.has(filter))
        // Those that take the room of others go before them; the rest only once the others are there.
        const inTheWay = former.splice(0, Math.max(0, present.size + added.length - mostFilters))
        if (inTheWay.length > 0) yield* connected.unsubscribe(inTheWay)
        for (const filter of yield* connected.subscribe(added)) refused.add(filter)
        if (former.length > 0) yield* connected.unsubscribe(former)
        present = new Set([...filters.keys()].filter((filter) => !refused.has(filter)))
        const before = unheard
        unheard = new Map([
          ...all.slice(mostFilters).flatMap(([, unserved]) => unserved.map((each) => [each, noRoom] as const)),
          ...[...refused].flatMap((filter) => (filters.get(filter) ?? []).map((each) => [each, notAllowed] as const))
        ])
        for (const [topicNamespace, why] of unheard) yield* refuse(topicNamespace, why)
        for (const topicNamespace of before.keys()) {
          if (namespaces.has(topicNamespace) && !unheard.has(topicNamespace)) yield* refuse(topicNamespace, undefined)
        }
        let confirmed: Effect.Effect<void> = Effect.void
        for (const topicNamespace of namespaces) {
          if (!wanted.has(topicNamespace) || announced.has(topicNamespace) || unheard.has(topicNamespace)) continue
          announced.add(topicNamespace)
          // A broker confirms in order: the last one speaks for all.
          confirmed = yield* makeDoubt(connected, topicNamespace)
        }
        return confirmed
      })
      /** From time to time has what was refused asked for again. */
      const askAgain = Effect.gen(function*() {
        while (true) {
          yield* Effect.sleep(askAgainMillis * (1 + (yield* Random.next)) / 2)
          if (refused.size === 0) continue
          asksAgain = true
          yield* Queue.offer(bell, undefined)
        }
      })
      return { keepUp, askAgain }
    }

    const health = new BrokerHealth(() => backoff?.())

    /** Lives until the broker connection does not; the scope given is that of the connection. */
    const converse = Effect.fnUntraced(function*(scope: Scope.Scope) {
      const problem = brokerProblems(broker)[0]
      if (problem !== undefined) {
        return yield* new TransportError({ reason: "Rejected", detail: `${where}: ${problem}` })
      }
      let connected: BrokerConnection | undefined
      const [only, ...others] = wanted
      const made = yield* connectToBroker({
        broker,
        // A connection has one will: it is of use where there is one namespace to tell.
        will: only !== undefined && others.length === 0
          ? { topic: topicsOf(only).command, payload: encode(Kind.Doubt) }
          : undefined,
        onMessage: (topic, payload) => {
          if (connected !== undefined) switchboard.deliver(connected, topic, payload)
        },
        alwaysPing: true,
        open: options.open
      }).pipe(
        Scope.provide(scope),
        Effect.timeoutOrElse({
          duration: limit,
          orElse: () =>
            Effect.fail(
              new TransportError({ reason: "Refused", detail: `${where}: no answer within ${Duration.format(limit)}` })
            )
        })
      )
      connected = made
      health.connected(yield* monotonicMillis)
      const { askAgain, keepUp } = subscriber(made)
      const said = yield* Deferred.make<Effect.Effect<void>>()
      const keepingUp = Effect.gen(function*() {
        yield* Queue.clear(bell)
        while (true) {
          yield* Deferred.succeed(said, yield* keepUp(wanted))
          yield* Queue.take(bell)
        }
      })
      // Some brokers let anybody in, and cut off who says what they do not allow.
      const telling = Effect.gen(function*() {
        yield* Effect.all([
          Effect.flatMap(Deferred.await(said), Effect.timeoutOption(confirmationLimit)),
          Effect.sleep(health.probationMillis)
        ], { concurrency: "unbounded", discard: true })
        // What never will be confirmed is settled, too, just before the connection is told to be gone: which then ends this.
        yield* Effect.yieldNow
        yield* tell({ status: "Connected" })
      })
      return yield* Effect.raceFirst(
        Effect.flatMap(made.gone, (error) => Effect.fail(error)),
        Effect.andThen(
          Effect.all([keepingUp, askAgain, telling], { concurrency: "unbounded", discard: true }),
          Effect.never
        )
      ).pipe(
        Effect.tapError((error) => Effect.sync(() => switchboard.loseAll(made, error)))
      )
    })

    yield* Deferred.await(first)
    while (true) {
      const scope = yield* Scope.fork(brokerScope)
      const error = yield* Effect.flip(converse(scope))
      const retryMillis = yield* health.ended(error, yield* monotonicMillis)
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))
      yield* tell({ status: "Disconnected", error, retryMillis })
      yield* Effect.sleep(retryMillis)
    }
  }, Effect.scoped)

  return { method: "mqtt", run }
}
