/** What somebody else on the same broker can do to an operator and its devices: nothing. Each version of MQTT has its suite. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Scope, Stream } from "effect"
import mqtt, { type MqttClient } from "mqtt"
import { randomBytes } from "node:crypto"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { encode, encodeCredit, Kind } from "../../../adapters/mqtt/envelope.ts"
import { makeMqttAcceptor } from "../../../adapters/mqtt/MqttAcceptor.ts"
import { makeMqttDialer } from "../../../adapters/mqtt/MqttDialer.ts"
import type { Cryptography } from "../../../core/link/Cryptography.ts"
import type { SecureRandom } from "../../../core/link/SecureRandom.ts"
import { deviceOn, operatorOn } from "../../contracts/linked.ts"
import { hasMosquitto, mosquitto } from "./mosquitto.ts"

type Version = "3.1.1" | "5"

interface Message {
  readonly topic: string
  readonly payload: Buffer
}

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (raw: Uint8Array) => new TextDecoder().decode(raw)

/** A client that no rule of the broker holds back: it hears everything, and may say anything. */
const eavesdropper = Effect.fnUntraced(function*(port: number, version: Version) {
  const heard: Array<Message> = []
  const client = yield* Effect.acquireRelease(
    Effect.promise(() =>
      mqtt.connectAsync({
        host: "127.0.0.1",
        port,
        protocol: "mqtt",
        clientId: "hostile",
        protocolVersion: version === "5" ? 5 : 4
      })
    ),
    (client) => Effect.promise(() => client.endAsync(true))
  )
  client.on("message", (topic, payload) => {
    heard.push({ topic, payload })
    if (heard.length > 50_000) heard.splice(0, 25_000)
  })
  yield* Effect.promise(() => client.subscribeAsync("#", { qos: 1 }))
  return { client, heard }
})

const say = (client: MqttClient, messages: ReadonlyArray<Message>, retain = false) =>
  Effect.promise(async () => {
    for (let at = 0; at < messages.length; at += 10) {
      await Promise.all(
        messages.slice(at, at + 10).map(({ payload, topic }) => client.publishAsync(topic, payload, { qos: 1, retain }))
      )
    }
  })

/** Connections the broker's messages tell of. */
const idsIn = (heard: ReadonlyArray<Message>) =>
  new Set(
    heard.filter(({ payload }) => payload.length >= 9).map(({ payload }) => payload.subarray(1, 9).toString("hex"))
  )

const namespaces = ["edge/lamp", "edge/door"]

const worldOf = Effect.fnUntraced(function*(version: Version) {
  const { ports: [port = 0] } = yield* mosquitto({ lines: ["allow_anonymous true", "max_queued_messages 10000"] })
  const broker = { host: "127.0.0.1", port, transport: "tcp", version } as const
  const listening = yield* Deferred.make<void>()
  const operator = yield* operatorOn(makeMqttAcceptor({
    broker: { ...broker, clientId: "operator" },
    topicNamespaces: Stream.make(namespaces),
    onState: () => Effect.asVoid(Deferred.succeed(listening, undefined))
  }))
  yield* Deferred.await(listening)
  const device = (name: string) =>
    deviceOn(
      name,
      makeMqttDialer({ broker: { ...broker, clientId: `device-${name}` }, topicNamespace: `edge/${name}` })
    )
  return { ...operator, ...(yield* eavesdropper(port, version)), device, port }
})

const check = (what: string, body: Effect.Effect<void, unknown, Scope.Scope | Cryptography | SecureRandom>) =>
  it.live(
    what,
    () => Effect.scoped(body).pipe(Effect.provide(NodeCryptography.layer), Effect.timeout("100 seconds")),
    110_000
  )

const secret = "the password is swordfish"

export const hostileOn = (version: Version) =>
  describe.skipIf(!hasMosquitto)(`a hostile client on the same broker, which speaks MQTT ${version}`, () => {
    const world = worldOf(version)

    check(
      "reads nothing but who talks",
      Effect.gen(function*() {
        const { device, heard } = yield* world
        const lamp = yield* (yield* device("lamp")).session
        for (let round = 0; round < 5; round++) {
          assert.strictEqual(text(yield* lamp.request(bytes(secret))), secret)
        }
        // The requests and their replies have come to the eavesdropper, too.
        yield* Effect.repeat(Effect.sleep("20 millis"), { until: () => heard.length > 10 })
        const everything = Buffer.concat(heard.map(({ payload }) => payload))
        assert.isAbove(everything.length, 500)
        for (const word of ["swordfish", "password", Buffer.from(secret).toString("base64").slice(4, 16)]) {
          assert.isFalse(everything.includes(word))
        }
      })
    )

    check(
      "replays everything it ever heard, again and again, without effect",
      Effect.gen(function*() {
        const { client, device, heard, served } = yield* world
        const first = yield* Scope.make()
        const former = yield* device("lamp").pipe(Scope.provide(first))
        const before = yield* former.session
        for (const word of ["one", "two"]) yield* before.request(bytes(word))
        // The two requests and their replies have come to the eavesdropper, too.
        yield* Effect.repeat(Effect.sleep("20 millis"), { until: () => heard.length > 5 })
        const past = [...heard]
        yield* Scope.close(first, Exit.void)

        const lamp = yield* (yield* device("lamp")).session
        yield* lamp.request(bytes("three"))
        const admitted = served.admitted.length
        for (let round = 0; round < 3; round++) {
          yield* say(client, past)
          yield* say(client, [...heard].slice(0, 200))
          assert.strictEqual(text(yield* lamp.request(bytes(`again ${round}`))), `again ${round}`)
        }
        assert.deepStrictEqual(served.asked, ["one", "two", "three", "again 0", "again 1", "again 2"])
        assert.strictEqual(served.admitted.length, admitted)
      })
    )

    check(
      "cannot end, delay or take over a connection by forging what belongs to it",
      Effect.gen(function*() {
        const { client, device, heard, served } = yield* world
        const lamp = yield* (yield* device("lamp")).session
        yield* lamp.request(bytes("before"))
        const ended = yield* Effect.forkScoped(lamp.closed)
        const junk = randomBytes(300)
        const forged = [...idsIn(heard)].flatMap((id) =>
          ["edge/lamp/cmd", "edge/lamp/msg", "edge/lamp/status"].flatMap((topic) => [
            { topic, payload: encode(Kind.End, id, randomBytes(16)) },
            { topic, payload: encode(Kind.End, id) },
            { topic, payload: encode(Kind.Doubt) },
            { topic, payload: encodeCredit(id, Number.MAX_SAFE_INTEGER) },
            { topic, payload: encodeCredit(id, 1) },
            { topic, payload: encode(Kind.Here, id) },
            { topic, payload: encode(Kind.Frame, id, junk) },
            { topic, payload: encode(Kind.Open, id, junk) },
            { topic, payload: encode(Kind.Frame, id, new Uint8Array(0)) },
            { topic, payload: junk },
            { topic, payload: Buffer.alloc(0) },
            { topic, payload: randomBytes(1024 * 1024) }
          ])
        )
        for (let round = 0; round < 10; round++) {
          yield* say(client, forged)
          assert.strictEqual(text(yield* lamp.request(bytes(`${round}`))), `${round}`)
          yield* Effect.sleep("1 second")
        }
        assert.isUndefined(ended.pollUnsafe())
        assert.deepStrictEqual(served.admitted, ["lamp"])
        const connected = new Set(
          heard.filter(({ payload, topic }) => topic === "edge/lamp/msg" && payload[0] === Kind.Open).map((
            { payload }
          ) => payload.subarray(1, 9).toString("hex"))
        )
        assert.strictEqual(connected.size, 1, "the device never had to connect again")
      })
    )

    check(
      "disturbs no handshake, though it answers each new connection with junk at once",
      Effect.gen(function*() {
        const { client, device, served } = yield* world
        client.on("message", (topic, payload) => {
          if (payload[0] !== Kind.Open || payload.length < 20 || payload.length === 209) return
          const id = payload.subarray(1, 9).toString("hex")
          for (let copy = 0; copy < 50; copy++) {
            client.publish(topic, encode(Kind.Frame, id, randomBytes(200)), { qos: 1 })
            client.publish(topic.replace("/msg", "/cmd"), encode(Kind.Frame, id, randomBytes(200)), { qos: 1 })
            client.publish(topic, encode(Kind.Frame, id, payload.subarray(9)), { qos: 1 })
          }
        })
        for (let round = 0; round < 3; round++) {
          yield* Effect.scoped(Effect.gen(function*() {
            const lamp = yield* (yield* device("lamp")).session
            assert.strictEqual(text(yield* lamp.request(bytes("here"))), "here")
          }))
        }
        assert.deepStrictEqual(served.admitted, ["lamp", "lamp", "lamp"])
      })
    )

    check(
      "floods, and neither fills memory nor keeps anybody out for long",
      Effect.gen(function*() {
        const { client, device, served } = yield* world
        const lamp = yield* (yield* device("lamp")).session
        // What it would remember of its own flood is in this process too.
        client.removeAllListeners("message")
        const size = 32 * 1024
        let flooding = true
        const flood = Effect.gen(function*() {
          while (flooding) {
            yield* say(
              client,
              Array.from({ length: 100 }, (_, at) => ({
                topic: at % 2 === 0 ? "edge/lamp/msg" : "edge/lamp/cmd",
                payload: encode(
                  at % 3 === 0 ? Kind.Frame : Kind.Open,
                  randomBytes(8).toString("hex"),
                  randomBytes(size)
                )
              }))
            )
          }
        })
        globalThis.gc?.()
        const before = process.memoryUsage().rss
        const running = yield* Effect.forkScoped(flood)
        for (let round = 0; round < 10; round++) {
          assert.strictEqual(text(yield* lamp.request(bytes(`${round}`), { timeoutMillis: 20_000 })), `${round}`)
          yield* Effect.sleep("500 millis")
        }
        // Another namespace, and a device that comes to the flooded one.
        assert.strictEqual(text(yield* (yield* (yield* device("door")).session).request(bytes("door"))), "door")
        flooding = false
        yield* Effect.ignore(Effect.timeout(Effect.sync(() => running.pollUnsafe()), "1 second"))
        assert.isAtMost(served.most, 64 + 8, "connections that have proven nothing")
        assert.isBelow(process.memoryUsage().rss - before, 300 * 1024 * 1024)
        assert.deepStrictEqual(served.admitted, ["lamp", "door"])
      })
    )

    check(
      "leaves retained junk everywhere before anybody comes",
      Effect.gen(function*() {
        const { client, device, heard, served } = yield* world
        const kept = ["edge/lamp/cmd", "edge/lamp/msg", "edge/lamp/status"].flatMap((topic) =>
          Object.values(Kind).map((kind) => ({ topic, payload: encode(kind, "0011223344556677", randomBytes(16)) }))
        )
        yield* say(client, kept, true)
        const lamp = yield* (yield* device("lamp")).session
        assert.strictEqual(text(yield* lamp.request(bytes("here"))), "here")
        // Such a past, retained, is for every connection that follows.
        yield* say(client, [...heard].slice(-50), true)
        const again = yield* (yield* device("door")).session
        assert.strictEqual(text(yield* again.request(bytes("there"))), "there")
        assert.deepStrictEqual(served.admitted, ["lamp", "door"])
      })
    )
  })
