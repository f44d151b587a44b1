/** The operator's door at an MQTT broker: one broker connection that serves the devices of many topic namespaces. */
import { Clock, Deferred, Duration, Effect, FiberSet, Random, Scope, Stream, SubscriptionRef } from "effect"
import { type Acceptor, type Connection, TransportError } from "../../core/link/Transport.ts"
import type { OpenBrokerClient } from "./BrokerClient.ts"
import { type BrokerConnection, connectToBroker, defaultConnectTimeout } from "./brokerConnection.ts"
import { brokerProblems, namespaceProblem } from "./brokerRules.ts"
import { encode, headerLength, Kind } from "./envelope.ts"
import { type BrokerOptions, describeBroker, maxPayloadOf } from "./MqttBroker.ts"
import { Switchboard } from "./Switchboard.ts"
import { awsSubscriptions, filtersFor, topicsOf } from "./topics.ts"

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
   * are not touched. The broker is dialed once there is a first element. A namespace the broker does not let us subscribe to is told by `onNamespaceRefused`.
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
  /** Who speaks MQTT; absent: the mqtt package. */
  readonly open?: OpenBrokerClient
}

const millis = (input: Duration.Input) => Duration.toMillis(Duration.fromInputUnsafe(input))

const everything = Number.MAX_SAFE_INTEGER

/** Never fails: a broker that cannot be reached is tried for ever, and `onState` tells why. */
export const makeMqttAcceptor = (options: MqttAcceptorOptions): Acceptor => {
  const { backoff = {}, broker, onNamespaceRefused, onState, topicNamespaces } = options
  const where = describeBroker(broker)
  const limit = Duration.fromInputUnsafe(broker.connectTimeout ?? defaultConnectTimeout)
  const mostFilters = broker.variant === "aws-iot-core" ? awsSubscriptions : everything
  const { factor = 1.5, initialDelay = "1 second", maxDelay = "30 seconds" } = backoff
  const tell = (state: BrokerState) => onState?.(state) ?? Effect.void
  const refuse = (topicNamespace: string, why: string) => onNamespaceRefused?.(topicNamespace, why) ?? Effect.void

  /** The wait before the next attempt; `failures` in a row. */
  const delay = (failures: number, error: TransportError) =>
    Effect.map(Random.next, (chance) => {
      const most = millis(maxDelay)
      if (error.reason === "Rejected") return most / 2 + chance * most / 2
      return chance * Math.min(most, millis(initialDelay) * factor ** (failures - 1))
    })

  const run = Effect.fnUntraced(function*<R>(
    serve: (connection: Connection) => Effect.Effect<void, never, R | Scope.Scope>
  ) {
    const first = yield* Deferred.make<void>()
    const wanted = yield* SubscriptionRef.make<ReadonlySet<string>>(new Set())
    // Closed after the connections are, so that what they say at last still leaves.
    const brokerScope = yield* Effect.acquireRelease(Scope.make(), (scope, exit) => Scope.close(scope, exit))
    const fork = yield* FiberSet.makeRuntime<Exclude<R, Scope.Scope>>()
    const switchboard = new Switchboard({
      broker: where,
      maxFrame: maxPayloadOf(broker) - headerLength,
      maxConnections: options.maxConnections ?? 20_000,
      clock: yield* Clock.Clock,
      random: yield* Random.Random,
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
        yield* SubscriptionRef.set(wanted, usable)
        yield* Deferred.succeed(first, undefined)
      })).pipe(Effect.forkScoped)

    /** Devices keep what they have until they are told that it may be gone. */
    const makeDoubt = (connected: BrokerConnection, topicNamespace: string) =>
      connected.publish(topicsOf(topicNamespace).command, encode(Kind.Doubt))

    /** Brings a connection's subscriptions to what is wanted now. */
    const subscriber = (connected: BrokerConnection) => {
      let present: ReadonlyMap<string, ReadonlyArray<string>> = new Map()
      const refused = new Set<string>()
      const announced = new Set<string>()
      return Effect.fnUntraced(function*(namespaces: ReadonlySet<string>) {
        const all = [...filtersFor(namespaces, mostFilters)]
        const filters = new Map(all.slice(0, mostFilters))
        const left = new Set(all.slice(mostFilters).flatMap(([, unserved]) => unserved))
        for (const topicNamespace of left) {
          yield* refuse(
            topicNamespace,
            `${where}: one connection may have ${mostFilters} subscriptions: let devices share the levels above their own`
          )
        }
        const former = [...present.keys()].filter((filter) => !filters.has(filter))
        const added = [...filters.keys()].filter((filter) => !present.has(filter))
        // Those that take the room of others go before them; the rest only once the others are there.
        const inTheWay = former.splice(0, Math.max(0, present.size + added.length - mostFilters))
        if (inTheWay.length > 0) yield* connected.unsubscribe(inTheWay)
        const news = yield* connected.subscribe(added)
        for (const topicNamespace of new Set(news.flatMap((filter) => filters.get(filter) ?? []))) {
          yield* refuse(
            topicNamespace,
            `${where}: the broker does not let us subscribe to its topics: see its access rules`
          )
        }
        for (const filter of news) refused.add(filter)
        if (former.length > 0) yield* connected.unsubscribe(former)
        for (const filter of refused) if (!filters.has(filter)) refused.delete(filter)
        present = filters
        const unheard = new Set([...left, ...[...refused].flatMap((filter) => filters.get(filter) ?? [])])
        for (const topicNamespace of announced) if (!namespaces.has(topicNamespace)) announced.delete(topicNamespace)
        for (const topicNamespace of namespaces) {
          if (announced.has(topicNamespace) || unheard.has(topicNamespace)) continue
          announced.add(topicNamespace)
          yield* makeDoubt(connected, topicNamespace)
        }
      })
    }

    /** Lives until the broker connection does not; the scope given is that of the connection. */
    const converse = Effect.fnUntraced(function*(scope: Scope.Scope, onConnected: () => void) {
      const problem = brokerProblems(broker)[0]
      if (problem !== undefined) {
        return yield* new TransportError({ reason: "Rejected", detail: `${where}: ${problem}` })
      }
      let connected: BrokerConnection | undefined
      const [only, ...others] = yield* SubscriptionRef.get(wanted)
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
      onConnected()
      const to = subscriber(made)
      const told = yield* Deferred.make<void>()
      const keepingUp = SubscriptionRef.changes(wanted).pipe(
        Stream.runForEach((namespaces) =>
          Effect.andThen(
            to(namespaces),
            Effect.flatMap(Deferred.succeed(told, undefined), (first) =>
              first ? tell({ status: "Connected" }) : Effect.void)
          )
        )
      )
      return yield* Effect.raceFirst(
        Effect.flatMap(made.gone, (error) => Effect.fail(error)),
        Effect.andThen(keepingUp, Effect.never)
      ).pipe(
        Effect.tapError((error) => Effect.sync(() => switchboard.loseAll(made, error)))
      )
    })

    yield* Deferred.await(first)
    let failures = 0
    while (true) {
      const scope = yield* Scope.fork(brokerScope)
      const error = yield* Effect.flip(converse(scope, () => (failures = 0)))
      failures += 1
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))
      const retryMillis = yield* delay(failures, error)
      yield* tell({ status: "Disconnected", error, retryMillis })
      yield* Effect.sleep(retryMillis)
    }
  }, Effect.scoped)

  return { method: "mqtt", run }
}
