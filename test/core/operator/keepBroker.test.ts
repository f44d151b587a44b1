import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Redacted, Stream, SubscriptionRef } from "effect"
import { Base64 } from "effect/encoding"
import { TestClock } from "effect/testing"
import { decodeEdgeDevice } from "../../../core/device/decodeEdgeDevice.ts"
import type { Secret } from "../../../core/kube/kinds.ts"
import type { Session } from "../../../core/link/Session.ts"
import { Brokers, type BrokerWish, type Standing } from "../../../core/operator/Brokers.ts"
import { DeviceRegistry } from "../../../core/operator/DeviceRegistry.ts"
import { type EventDraft, EventRecorder } from "../../../core/operator/EventRecorder.ts"
import { keepBroker } from "../../../core/operator/keepBroker.ts"
import { ReferencedObjects } from "../../../core/operator/ReferencedObjects.ts"
import type { NodeReport } from "../../../core/wire/Event.ts"
import { simulate } from "../../simulation/VirtualTime.ts"

const deviceWith = (mqtt: object | undefined, generation = 1, backoff?: object) =>
  decodeEdgeDevice({
    metadata: { namespace: "edge", name: "edge-1", uid: "u-1", generation },
    spec: {
      connectivity: mqtt === undefined
        ? { method: "grpc" }
        : {
          method: "mqtt",
          mqtt: { broker: "broker:8883", topicNamespace: "sites/1", ...mqtt },
          ...(backoff === undefined ? {} : { backoff })
        }
    }
  })

const secretOf = (data: Readonly<Record<string, string>>, type = "kubernetes.io/basic-auth"): Secret => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { namespace: "edge", name: "any" },
  type,
  data: Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Base64.encode(text)]))
})

/** Lets every fiber that is ready run, and those that it wakes. */
const untilIdle = Effect.asVoid(Effect.repeat(TestClock.adjust("1 milli"), { times: 20 }))

/** A device, the Secrets there are, what it asks of brokers and what is said of it. */
const stage = Effect.fnUntraced(function*(mqtt: object | undefined, settle: Effect.Effect<void> = untilIdle) {
  const secrets = new Map<string, Secret>()
  const listeners = new Map<string, () => void>()
  const told: Array<EventDraft> = []
  let wish: BrokerWish | undefined
  let standing: Standing = { _tag: "Connecting" }
  let changes = 0
  let leaving = false
  /** Secrets of which the API server tells nothing. */
  const unheard = new Set<string>()
  const watch: ReferencedObjects["Service"]["watch"] = (kind, namespace, name, changed) =>
    Effect.sync(() => {
      assert.strictEqual(`${kind} ${namespace}`, "Secret edge")
      listeners.set(name, changed)
      return { known: () => !unheard.has(name), read: () => secrets.get(name) }
    })
  const device = yield* SubscriptionRef.make(yield* deviceWith(mqtt))
  const holding = yield* SubscriptionRef.make(true)
  const context = {
    key: "edge/edge-1",
    namespace: "edge",
    name: "edge-1",
    uid: "u-1",
    device,
    session: yield* SubscriptionRef.make<Session | undefined>(undefined),
    nodeReport: yield* SubscriptionRef.make<NodeReport | undefined>(undefined),
    owned: yield* SubscriptionRef.make<boolean | undefined>(true),
    hold: { epoch: () => 1, stands: () => Effect.succeed(true), standsYet: Effect.succeed(true) },
    clockOffset: () => 0,
    leaving: () => leaving
  }
  const keeper = yield* keepBroker(context, { holding, changed: () => changes += 1 }).pipe(
    Effect.provide(Layer.mergeAll(
      Layer.mock(EventRecorder, { record: (draft) => Effect.sync(() => void told.push(draft)) }),
      Layer.mock(ReferencedObjects, { watch }),
      Layer.succeed(Brokers, {
        wish: (_, asked) => Effect.sync(() => void (wish = asked)),
        standingOf: () => wish === undefined ? { _tag: "None" } : standing,
        follow: () => Effect.succeed({ outlive: () => {} }),
        acceptor: () => assert.fail("no door is opened here")
      }),
      Layer.succeed(DeviceRegistry, {
        synced: Effect.void,
        get: () => ({ metadata: { creationTimestamp: "2026-01-01T00:00:00Z" } }),
        keys: () => [],
        read: () => Effect.die("not asked for here"),
        changes: Stream.empty,
        swapStatus: () => Effect.die("not written here"),
        swapFinalizers: () => Effect.die("not written here")
      })
    ))
  )
  yield* settle
  return {
    told,
    unheard,
    device,
    holding,
    settle,
    keeper,
    wish: () => wish,
    changes: () => changes,
    /** The EdgeDevice is deleted. */
    leave: Effect.suspend(() => {
      leaving = true
      keeper.look()
      return settle
    }),
    stand: (now: Standing) => void (standing = now),
    says: () => {
      const said = keeper.condition()
      return said === undefined ? "nothing" : `${said.status} ${said.reason}: ${said.message}`
    },
    put: (name: string, secret: Secret | undefined) =>
      Effect.andThen(
        Effect.sync(() => {
          if (secret === undefined) secrets.delete(name)
          else secrets.set(name, secret)
          listeners.get(name)?.()
        }),
        settle
      )
  }
})

describe("the broker of an EdgeDevice", () => {
  it.effect("is asked for as the spec says, without TLS and login where it names none", () =>
    Effect.gen(function*() {
      const { keeper, says, stand, wish } = yield* stage({ transport: "websocket", clientID: "aranya-1" })
      assert.deepStrictEqual(wish()?.access, {
        host: "broker",
        port: 8883,
        transport: "websocket",
        websocketPath: "/mqtt",
        version: "3.1.1",
        variant: "standard",
        tls: undefined,
        login: undefined,
        clientId: "aranya-1",
        keepaliveMillis: 120_000,
        maxPayload: 131_072
      })
      assert.strictEqual(wish()?.topicNamespace, "sites/1")
      assert.strictEqual(wish()?.since, "2026-01-01T00:00:00Z")
      assert.strictEqual(says(), "False Connecting: connecting to broker:8883")
      stand({ _tag: "Up" })
      assert.strictEqual(says(), "True Connected: connected to broker:8883")
      stand({ _tag: "Down", why: "no route to host" })
      assert.strictEqual(says(), "False BrokerDown: no route to host")
      assert.strictEqual(keeper.down(), "no route to host")
    }).pipe(Effect.scoped))

  it.effect("is come back to as the spec says, and as it says anew", () =>
    Effect.gen(function*() {
      const { device, settle, wish } = yield* stage({})
      assert.isUndefined(wish()?.backoff)
      yield* SubscriptionRef.set(device, yield* deviceWith({}, 2, { initialDelay: "5s", factor: "2" }))
      yield* settle
      const { factor, initialDelay, maxDelay } = wish()?.backoff ?? assert.fail("no backoff")
      assert.deepStrictEqual([Duration.toSeconds(initialDelay), Duration.toSeconds(maxDelay), factor], [5, 30, 2])
    }).pipe(Effect.scoped))

  it.effect("is none where the spec names none, and goes when it leaves the spec", () =>
    Effect.gen(function*() {
      const { device, says, settle, wish } = yield* stage(undefined)
      assert.strictEqual(says(), "nothing")
      yield* SubscriptionRef.set(device, yield* deviceWith({}, 2))
      yield* settle
      assert.strictEqual(wish()?.access.port, 8883)
      yield* SubscriptionRef.set(device, yield* deviceWith(undefined, 3))
      yield* settle
      assert.strictEqual(says(), "nothing")
      assert.isUndefined(wish())
    }).pipe(Effect.scoped))

  it.effect("is entered with what the Secrets hold, and anew when they change", () =>
    Effect.gen(function*() {
      const { put, wish } = yield* stage({ tlsSecretRef: { name: "tls" }, userPassRef: { name: "login" } })
      yield* put("tls", secretOf({ "ca.crt": "CA", "tls.crt": "CERT", "tls.key": "KEY", serverName: "mqtt.example" }))
      assert.isUndefined(wish(), "one Secret is still missing")
      yield* put("login", secretOf({ username: "aranya", password: "one" }))
      const { login, tls } = wish()?.access ?? assert.fail("nothing was asked for")
      assert.strictEqual(tls?.ca, "CA")
      assert.strictEqual(tls?.serverName, "mqtt.example")
      assert.strictEqual(tls?.identity?.cert, "CERT")
      assert.strictEqual(tls?.identity && Redacted.value(tls.identity.key), "KEY")
      assert.strictEqual(login?.username, "aranya")
      assert.strictEqual(login && Redacted.value(login.password), "one")
      yield* put("login", secretOf({ username: "aranya", password: "two" }))
      const renewed = wish()?.access.login
      assert.strictEqual(renewed && Redacted.value(renewed.password), "two")
      assert.notInclude(JSON.stringify(wish()?.access), "two")
    }).pipe(Effect.scoped))

  const tls = "Secret tls of spec.connectivity.mqtt.tlsSecretRef"
  const broken: ReadonlyArray<readonly [what: string, mqtt: object, secret: Record<string, string>, sentence: string]> =
    [
      [
        "skips verification",
        {},
        { insecureSkipVerify: "true" },
        `${tls} has key insecureSkipVerify, and the broker's certificate is always verified: remove that key and put the `
        + "broker's authority under ca.crt"
      ],
      [
        "has a certificate without its key",
        {},
        { "tls.crt": "CERT" },
        `${tls} needs both tls.crt and tls.key, or neither`
      ],
      [
        "has no certificate for AWS",
        { variant: "aws-iot-core", clientID: "operator" },
        { "ca.crt": "CA" },
        `${tls} needs tls.crt and tls.key: aws-iot-core knows its clients by certificates`
      ]
    ]

  it.effect.each(broken)(
    "is not entered with a Secret that %s, and one sentence says why",
    ([, mqtt, secret, sentence]) =>
      Effect.gen(function*() {
        const { keeper, put, says, told, wish } = yield* stage({ ...mqtt, tlsSecretRef: { name: "tls" } })
        assert.strictEqual(says(), `False BrokerUnusable: ${tls} does not exist`)
        yield* put("tls", secretOf(secret))
        assert.isUndefined(wish())
        assert.strictEqual(says(), `False BrokerUnusable: ${sentence}`)
        assert.strictEqual(keeper.down(), sentence)
        assert.deepStrictEqual(told.map(({ message, reason }) => `${reason}: ${message}`), [
          `BrokerUnusable: ${tls} does not exist`,
          `BrokerUnusable: ${sentence}`
        ])
        yield* put("tls", secretOf({ "tls.crt": "CERT", "tls.key": "KEY" }))
        assert.strictEqual(says(), "False Connecting: connecting to broker:8883")
      }).pipe(Effect.scoped)
  )

  it.effect("is not entered without the password it asks for", () =>
    Effect.gen(function*() {
      const { put, says, wish } = yield* stage({ userPassRef: { name: "login" } })
      yield* put("login", secretOf({ username: "aranya" }))
      assert.strictEqual(
        says(),
        "False BrokerUnusable: Secret login of spec.connectivity.mqtt.userPassRef needs keys username and password"
      )
      yield* put("login", secretOf({ username: "aranya", password: "p" }, "Opaque"))
      assert.isUndefined(wish())
      assert.strictEqual(
        says(),
        "False BrokerUnusable: Secret login of spec.connectivity.mqtt.userPassRef needs type kubernetes.io/basic-auth"
      )
      yield* put("login", secretOf({ username: "aranya", password: "p" }))
      assert.isDefined(wish())
      yield* put("login", undefined)
      assert.isUndefined(wish(), "a Secret that goes takes its login with it")
    }).pipe(Effect.scoped))

  const nothingOf = (names: string) =>
    `the API server tells nothing of Secret ${names} of spec.connectivity.mqtt: it cannot be reached, or aranya may not list and watch there`

  it.effect("whose Secrets the API server tells nothing of is said to be unusable after ten seconds, until it does", () =>
    Effect.gen(function*() {
      const { device, keeper, put, says, settle, told, unheard, wish } = yield* stage(undefined)
      unheard.add("tls").add("login")
      const refs = { tlsSecretRef: { name: "tls" }, userPassRef: { name: "login" } }
      yield* SubscriptionRef.set(device, yield* deviceWith(refs, 2))
      yield* settle
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(says(), "False Connecting: connecting to broker:8883")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(says(), `False BrokerUnusable: ${nothingOf("tls and login")}`)
      assert.strictEqual(keeper.down(), nothingOf("tls and login"))
      unheard.delete("tls")
      yield* put("tls", secretOf({ "ca.crt": "CA" }))
      assert.strictEqual(says(), `False BrokerUnusable: ${nothingOf("login")}`)
      assert.deepStrictEqual(told.map(({ reason }) => reason), ["BrokerUnusable", "BrokerUnusable"])
      assert.isUndefined(wish())
      unheard.clear()
      yield* put("login", secretOf({ username: "aranya", password: "p" }))
      assert.strictEqual(says(), "False Connecting: connecting to broker:8883")
      assert.isDefined(wish())
    }).pipe(Effect.scoped))

  it.effect("is the one that is served, until what another one needs is known", () =>
    Effect.gen(function*() {
      const { device, put, says, settle, stand, unheard, wish } = yield* stage({})
      stand({ _tag: "Up" })
      unheard.add("login")
      yield* SubscriptionRef.set(device, yield* deviceWith({ broker: "other:8883", userPassRef: { name: "login" } }, 2))
      yield* settle
      assert.strictEqual(wish()?.access.host, "broker")
      assert.strictEqual(says(), "True Connected: connected to broker:8883")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(wish()?.access.host, "broker")
      assert.strictEqual(says(), `False BrokerUnusable: ${nothingOf("login")}`)
      unheard.clear()
      yield* put("login", secretOf({ username: "aranya", password: "p" }))
      assert.strictEqual(wish()?.access.host, "other")
      assert.strictEqual(says(), "True Connected: connected to other:8883")
    }).pipe(Effect.scoped))

  describe("whose EdgeDevice is deleted", () => {
    const login = secretOf({ username: "aranya", password: "p" })
    const withLogin = Effect.gen(function*() {
      const staged = yield* stage({ userPassRef: { name: "login" } })
      yield* staged.put("login", login)
      /** The password with which the broker is asked for. */
      const entered = () => {
        const asked = staged.wish()?.access.login
        return asked && Redacted.value(asked.password)
      }
      assert.strictEqual(entered(), "p")
      return { ...staged, entered }
    })

    it.effect("is stayed at when its Secret goes as well, so that the device is told", () =>
      Effect.gen(function*() {
        const { entered, leave, put, says, told } = yield* withLogin
        yield* leave
        yield* put("login", undefined)
        assert.strictEqual(entered(), "p")
        assert.strictEqual(says(), "False Connecting: connecting to broker:8883")
        assert.lengthOf(told, 1, "but that it was missing at first")
      }).pipe(Effect.scoped))

    it.effect("is come back to where its Secret went a moment before", () =>
      Effect.gen(function*() {
        const { entered, leave, put } = yield* withLogin
        yield* put("login", undefined)
        assert.isUndefined(entered())
        yield* TestClock.adjust("50 seconds")
        yield* leave
        assert.strictEqual(entered(), "p")
      }).pipe(Effect.scoped))

    it.effect("is not come back to with what has not been right for long", () =>
      Effect.gen(function*() {
        const { entered, leave, put } = yield* withLogin
        yield* put("login", undefined)
        yield* TestClock.adjust("2 minutes")
        yield* leave
        assert.isUndefined(entered())
      }).pipe(Effect.scoped))

    it.effect("is not come to with Secrets that were never right", () =>
      Effect.gen(function*() {
        const { leave, says, wish } = yield* stage({ userPassRef: { name: "login" } })
        yield* leave
        assert.isUndefined(wish())
        assert.match(says(), /^False BrokerUnusable: /u)
      }).pipe(Effect.scoped))
  })

  it.effect("is left to the operator that holds the device", () =>
    Effect.gen(function*() {
      const { holding, settle, wish } = yield* stage({})
      yield* SubscriptionRef.set(holding, false)
      yield* settle
      assert.isUndefined(wish())
      yield* SubscriptionRef.set(holding, true)
      yield* settle
      assert.isDefined(wish())
    }).pipe(Effect.scoped))

  it.live.each([42, 68, 135, 217, 248])(
    "is asked for as is true last, in whatever order what changes together is heard of (seed %i)",
    (seed) =>
      simulate(seed, () =>
        Effect.gen(function*() {
          const { device, holding, settle, wish } = yield* stage({}, Effect.sleep("1 second"))
          for (const isHeld of [false, true, false, true]) {
            yield* SubscriptionRef.set(device, yield* deviceWith({}, 2))
            yield* SubscriptionRef.set(holding, isHeld)
            yield* SubscriptionRef.set(device, yield* deviceWith({}, 3))
            yield* settle
            assert.strictEqual(wish() !== undefined, isHeld)
          }
        }).pipe(Effect.scoped))
  )

  it.effect("says whose topics and subscriptions are refused, and who strays there, but not each time", () =>
    Effect.gen(function*() {
      const { keeper, says, stand, told, wish } = yield* stage({})
      stand({ _tag: "TopicTaken" })
      assert.isUndefined(keeper.down(), "the broker itself is well")
      assert.strictEqual(
        says(),
        "False TopicTaken: spec.connectivity.mqtt.topicNamespace sites/1 is that of another EdgeDevice at broker broker:8883: "
          + "give each device a text of its own"
      )
      stand({ _tag: "TopicRefused", why: "not authorised" })
      assert.isUndefined(keeper.down(), "the broker itself is well")
      assert.strictEqual(
        says(),
        "False TopicRefused: not authorised"
      )
      yield* wish()?.strayed("edge/other") ?? Effect.void
      yield* wish()?.strayed("edge/other") ?? Effect.void
      assert.deepStrictEqual(told.map(({ reason }) => reason), ["WrongTopics"])
      yield* TestClock.adjust("10 minutes")
      yield* wish()?.strayed("edge/other") ?? Effect.void
      assert.lengthOf(told, 2)
    }).pipe(Effect.scoped))
})
