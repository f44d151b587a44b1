import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Queue, Redacted, Scope, Stream, SubscriptionRef } from "effect"
import mqtt from "mqtt"
import { spawnSync } from "node:child_process"
import { connect } from "node:net"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { type BrokerState, makeMqttAcceptor, type MqttAcceptorOptions } from "../../../adapters/mqtt/MqttAcceptor.ts"
import type { BrokerOptions } from "../../../adapters/mqtt/MqttBroker.ts"
import { makeMqttDialer } from "../../../adapters/mqtt/MqttDialer.ts"
import type { Connection } from "../../../core/link/Transport.ts"
import { deviceOn, operatorOn } from "../../contracts/linked.ts"
import { makeAuthority, notYetValid } from "../grpc/certificates.ts"
import { aedesBroker, overWebsockets } from "./aedesBroker.ts"
import { hasMosquitto, mosquitto } from "./mosquitto.ts"
import { serverOn } from "./serverOn.ts"

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const bytes = (words: string) => new TextEncoder().encode(words)

const at = (port: number, options: Partial<BrokerOptions> = {}): BrokerOptions => ({
  host: "127.0.0.1",
  port,
  transport: "tcp",
  version: "5",
  clientId: "lamp",
  ...options
})

const dialer = (broker: BrokerOptions, topicNamespace = "edge/lamp") => makeMqttDialer({ broker, topicNamespace })
const refusal = (broker: BrokerOptions, topicNamespace?: string) =>
  Effect.flip(Effect.scoped(dialer(broker, topicNamespace).connect))

/** An acceptor that hands over its connections, once it is connected to the broker. */
const accepting = Effect.fnUntraced(function*(
  broker: BrokerOptions,
  options: Partial<MqttAcceptorOptions> = {}
) {
  const states = yield* Queue.unbounded<BrokerState>()
  const up = yield* Deferred.make<void>()
  const connections = yield* Queue.unbounded<Connection>()
  const running = yield* Effect.forkScoped(
    makeMqttAcceptor({
      broker,
      topicNamespaces: Stream.make(["edge/lamp"]),
      ...options,
      onState: (state) =>
        Effect.andThen(
          Queue.offer(states, state),
          state.status === "Connected" ? Deferred.succeed(up, undefined) : Effect.void
        )
    }).run((connection) =>
      Effect.andThen(
        Queue.offer(connections, connection),
        Effect.never
      )
    )
  )
  return { states, running, up: Deferred.await(up), next: Queue.take(connections) }
})

const sockets = () => process.getActiveResourcesInfo().filter((kind) => /TCP|TLS/u.test(kind)).length

describe("an MQTT connection", () => {
  it.live("is refused where the broker does not answer in time, and leaves no socket", () =>
    Effect.gen(function*() {
      const mute = yield* serverOn((socket) => socket.resume())
      const error = yield* refusal(at(mute.port, { connectTimeout: "300 millis" }))
      assert.strictEqual(error.reason, "Refused")
      assert.match(error.message, /no answer within 300ms/u)
      while (mute.sockets.size > 0) yield* Effect.sleep("10 millis")
    }).pipe(Effect.scoped, Effect.timeout("10 seconds")))

  it.live("is refused by what is no broker", () =>
    Effect.gen(function*() {
      const web = yield* serverOn((socket) => socket.end("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"))
      assert.strictEqual((yield* refusal(at(web.port, { connectTimeout: "2 seconds" }))).reason, "Refused")
      assert.strictEqual((yield* refusal(at(web.port, { transport: "websocket" }))).reason, "Refused")
      const gone = yield* serverOn((socket) => socket.destroy())
      assert.strictEqual((yield* refusal(at(gone.port))).reason, "Refused")
      assert.strictEqual((yield* refusal(at(1))).reason, "Refused")
    }).pipe(Effect.scoped, Effect.timeout("20 seconds")))

  it.live("is refused with a path that has no websocket", () =>
    Effect.gen(function*() {
      const { port } = yield* aedesBroker({}, overWebsockets())
      const error = yield* refusal(at(port, { transport: "websocket", path: "/elsewhere", version: "3.1.1" }))
      assert.match(error.message, /no websocket at this path, but 400/u)
    }).pipe(Effect.scoped, Effect.timeout("20 seconds")))

  it.live("is refused by a broker that does not speak its version", () =>
    Effect.gen(function*() {
      const { port } = yield* aedesBroker()
      assert.match((yield* refusal(at(port))).message, /does not speak this version of MQTT/u)
    }).pipe(Effect.scoped, Effect.timeout("20 seconds")))

  it.live("has its settings looked at before anything is dialed", () =>
    Effect.gen(function*() {
      for (
        const [broker, topics, told] of [
          [at(1, { clientId: "" }), "edge", /client id is empty/u],
          [
            at(1, { transport: "tls", tls: { cipherSuites: ["TLS_RSA_WITH_RC4_128_MD5"] } }),
            "edge",
            /RC4_128_MD5 is not/u
          ],
          [at(1), "edge/#", /has one of the characters/u],
          [at(1), "", /is empty/u]
        ] as const
      ) {
        const error = yield* refusal(broker, topics)
        assert.strictEqual(error.reason, "Rejected")
        assert.match(error.message, told)
      }
    }))

  it.live("has the broker confirm what is long or much, and nothing else", () =>
    Effect.gen(function*() {
      const qualities: Array<number> = []
      const { port } = yield* aedesBroker({
        authorizePublish: (_, { payload, qos, topic }, decide) => {
          if (topic === "edge/lamp/cmd" && payload[0] === 2) qualities.push(qos)
          decide(null)
        }
      })
      const to = at(port, { version: "3.1.1" })
      const { next, up } = yield* accepting({ ...to, clientId: "operator" })
      yield* up
      const device = yield* dialer(to).connect
      yield* device.send(bytes("hello"))
      const operator = yield* next
      assert.strictEqual(text(yield* operator.receive), "hello")
      const said = Effect.fnUntraced(function*(length: number, expendable = false) {
        yield* operator.send(new Uint8Array(length), { expendable })
        assert.strictEqual((yield* device.receive).length, length)
      })
      yield* said(512)
      yield* said(22, true)
      assert.deepStrictEqual(qualities, [0, 0])
      // The second one is on its way before the broker can have confirmed the first; what is expendable never waits for that.
      qualities.length = 0
      yield* Effect.all([
        operator.send(new Uint8Array(513)),
        operator.send(new Uint8Array(10)),
        operator.send(new Uint8Array(11), { expendable: true })
      ], { concurrency: "unbounded" })
      const lengths = [(yield* device.receive).length, (yield* device.receive).length, (yield* device.receive).length]
      assert.deepStrictEqual(lengths.toSorted((a, b) => a - b), [10, 11, 513])
      assert.deepStrictEqual(qualities.toSorted(), [0, 1, 1])
      // What was confirmed may still wait for the device: until it has rested, nothing overtakes it.
      qualities.length = 0
      yield* said(10)
      assert.deepStrictEqual(qualities, [1])
      while (qualities.pop() !== 0) {
        yield* Effect.sleep("1100 millis")
        yield* said(10)
      }
    }).pipe(Effect.scoped))

  it.live("is not pinged over while it is spoken over, at whichever quality of service", () =>
    Effect.gen(function*() {
      const { broker, port } = yield* aedesBroker()
      const pings: Array<string> = []
      broker.on("ping", (_, { id }) => void pings.push(id))
      const to = at(port, { version: "3.1.1", keepalive: "4 seconds" })
      const { next, up } = yield* accepting({ ...to, clientId: "operator" })
      yield* up
      const device = yield* dialer(to).connect
      yield* device.send(bytes("hello"))
      const operator = yield* next
      yield* operator.receive
      for (let beat = 0; beat < 8; beat++) {
        yield* device.send(bytes("beat"), { expendable: true })
        yield* operator.receive
        yield* operator.send(bytes("here"), { expendable: true })
        yield* device.receive
        yield* Effect.sleep("700 millis")
      }
      assert.isFalse(pings.includes(to.clientId))
    }).pipe(Effect.scoped))
})

describe.skipIf(!hasMosquitto)("with mosquitto", () => {
  const authority = makeAuthority("the broker's")
  const server = authority.issue("broker.example")
  const files = { "ca.pem": authority.cert, "cert.pem": server.cert, "key.pem": server.key }
  const encrypted = ["cafile %DIR%/ca.pem", "certfile %DIR%/cert.pem", "keyfile %DIR%/key.pem"]

  it.live("a credential that is not accepted is Rejected, and never told", () =>
    Effect.gen(function*() {
      const { directory, kill, ports: [port = 0], start } = yield* mosquitto({
        lines: ["password_file %DIR%/passwords", "acl_file %DIR%/acl"],
        files: { passwords: "", acl: "user lamp\ntopic readwrite edge/lamp/#\n" }
      })
      spawnSync("mosquitto_passwd", ["-b", `${directory}/passwords`, "lamp", "correct-horse"])
      yield* kill
      yield* start
      for (const version of ["3.1.1", "5"] as const) {
        const wrong = at(port, { version, username: "lamp", password: Redacted.make("battery-staple") })
        const error = yield* refusal(wrong)
        assert.strictEqual(error.reason, "Rejected")
        assert.notMatch(error.message, /battery|lamp/u)
        assert.strictEqual((yield* refusal(at(port, { version }))).reason, "Rejected")

        const right = { ...wrong, password: Redacted.make("correct-horse") }
        yield* Effect.scoped(dialer(right).connect)
        // mosquitto lets anybody subscribe, and delivers nothing; only MQTT 5 can say that it takes nothing either.
        if (version === "3.1.1") continue
        const elsewhere = yield* dialer(right, "edge/door").connect
        yield* elsewhere.send(bytes("here"))
        const denied = yield* Effect.flip(elsewhere.receive)
        assert.strictEqual(denied.reason, "Rejected")
        assert.match(denied.message, /does not authorize this client/u)
      }
    }).pipe(Effect.scoped, Effect.timeout("40 seconds")))

  it.live("a certificate that is not accepted is Rejected, with what to do about it", () =>
    Effect.gen(function*() {
      const { ports: [port = 0] } = yield* mosquitto({ files, listeners: [{ lines: encrypted }] })
      const over = (tls: BrokerOptions["tls"], transport: BrokerOptions["transport"] = "tls") =>
        at(port, { transport, ...(tls === undefined ? {} : { tls }) })
      const cases = [
        [
          over({ ca: makeAuthority("another").cert, serverName: "broker.example" }),
          /not of an authority in tls\.caCert/u
        ],
        [over(undefined), /not of an authority in tls\.caCert/u],
        [over({ ca: authority.cert, serverName: "elsewhere.example" }), /set tls\.serverName/u]
      ] as const
      for (const [broker, told] of cases) {
        const error = yield* refusal(broker)
        assert.strictEqual(error.reason, "Rejected")
        assert.match(error.message, told)
      }
      // By its address, which is in the certificate too.
      yield* Effect.scoped(dialer(over({ ca: authority.cert })).connect)
      const picky = over({
        ca: authority.cert,
        cipherSuites: ["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"]
      })
      yield* Effect.scoped(dialer(picky).connect)
    }).pipe(Effect.scoped, Effect.timeout("40 seconds")))

  it.live("a clock that is not yet in the certificate's time is Refused: it may be set soon", () =>
    Effect.gen(function*() {
      const { authority: ca, cert, key } = notYetValid("broker.example")
      const { ports: [port = 0] } = yield* mosquitto({
        files: { "ca.pem": ca, "cert.pem": cert, "key.pem": key },
        listeners: [{ lines: encrypted }]
      })
      const error = yield* refusal(at(port, { transport: "tls", tls: { ca, serverName: "broker.example" } }))
      assert.strictEqual(error.reason, "Refused")
      assert.match(error.detail, /not yet valid; renew the broker's certificate, or set this machine's clock/u)
    }).pipe(Effect.scoped, Effect.timeout("40 seconds")))

  it.live("a client certificate that is missing is not accepted, over websockets neither", () =>
    Effect.gen(function*() {
      const { ports: [port = 0, web = 0] } = yield* mosquitto({
        files,
        listeners: [
          { lines: [...encrypted, "require_certificate true"] },
          { lines: [...encrypted, "protocol websockets"] }
        ]
      })
      const tls = { ca: authority.cert, serverName: "broker.example" }
      const error = yield* refusal(at(port, { transport: "tls", tls }))
      assert.strictEqual(error.reason, "Rejected")
      yield* Effect.scoped(
        dialer(at(port, { transport: "tls", tls: { ...tls, identity: authority.issue("lamp") } })).connect
      )
      yield* Effect.scoped(dialer(at(web, { transport: "secure websocket", tls })).connect)
      const wrong = at(web, { transport: "secure websocket", tls: { ...tls, serverName: "elsewhere.example" } })
      assert.strictEqual((yield* refusal(wrong)).reason, "Rejected")
    }).pipe(Effect.scoped, Effect.timeout("40 seconds")))

  it.live("a device whose socket breaks is known to be gone by its will", () =>
    Effect.gen(function*() {
      const { ports: [port = 0] } = yield* mosquitto()
      // What breaks is the way between device and broker.
      const way = yield* serverOn((socket) => {
        const there = connect(port, "127.0.0.1")
        socket.on("close", () => there.destroy()).pipe(there).on("error", () => {}).pipe(socket)
      })
      const { next, up } = yield* accepting(at(port, { clientId: "operator" }))
      yield* up
      const device = yield* dialer(at(way.port)).connect
      yield* device.send(bytes("here"))
      const operator = yield* next
      assert.strictEqual(text(yield* operator.receive), "here")
      for (const socket of way.sockets) socket.destroy()
      const error = yield* Effect.flip(Effect.timeout(operator.receive, "5 seconds"))
      assert.match(error.message, /the broker lost the device/u)
      assert.strictEqual((yield* Effect.flip(device.receive)).reason, "Lost")
    }).pipe(Effect.scoped, Effect.timeout("20 seconds")))

  it.live("devices learn within seconds that another operator process is there", () =>
    Effect.gen(function*() {
      const { ports: [port = 0] } = yield* mosquitto()
      const former = yield* Scope.make()
      const way = yield* serverOn((socket) => {
        const there = connect(port, "127.0.0.1")
        socket.on("close", () => there.destroy()).pipe(there).on("error", () => {}).pipe(socket)
      })
      const one = yield* accepting(at(way.port, { clientId: "one" })).pipe(Scope.provide(former))
      yield* one.up
      const device = yield* dialer(at(port)).connect
      yield* device.send(bytes("here"))
      yield* one.next
      const two = yield* accepting(at(port, { clientId: "two" }))
      yield* two.up
      // The first one knows this connection as yet.
      assert.isTrue((yield* Effect.timeoutOption(device.receive, "9 seconds"))._tag === "None")
      for (const socket of way.sockets) socket.destroy()
      yield* Scope.close(former, Exit.void)
      const error = yield* Effect.flip(Effect.timeout(device.receive, "20 seconds"))
      assert.match(error.message, /the operator does not know this connection any more/u)
    }).pipe(Effect.scoped, Effect.timeout("45 seconds")), 50_000)

  it.live(
    "a broker that is killed and comes back carries the same session on, and nothing twice",
    () =>
      Effect.gen(function*() {
        const { kill, ports: [port = 0], start } = yield* mosquitto()
        const states = yield* Queue.unbounded<BrokerState>()
        const { served } = yield* operatorOn(makeMqttAcceptor({
          broker: at(port, { clientId: "operator" }),
          topicNamespaces: Stream.make(["edge/lamp", "edge/door"]),
          backoff: () => ({ initialDelay: "100 millis", maxDelay: "1 second" }),
          onState: (state) => Effect.asVoid(Queue.offer(states, state))
        }))
        assert.strictEqual((yield* Queue.take(states)).status, "Connected")
        const lamp = yield* (yield* deviceOn("lamp", dialer(at(port)))).session
        const asking = yield* Effect.forkScoped(Effect.forEach(
          Array.from({ length: 300 }, (_, at) => `${at}`),
          (word) =>
            Effect.andThen(
              Effect.map(lamp.request(bytes(word), { timeoutMillis: 60_000 }), text),
              (answer) => Effect.as(Effect.sleep("20 millis"), answer)
            )
        ))
        for (let round = 0; round < 2; round++) {
          yield* Effect.sleep("700 millis")
          yield* kill
          const down = yield* Queue.take(states)
          assert.strictEqual(down.status, "Disconnected")
          yield* Effect.sleep("500 millis")
          yield* start
          while ((yield* Queue.take(states)).status !== "Connected") { /* tries again */ }
        }
        const answers = yield* Fiber.join(asking)
        assert.deepStrictEqual(answers, Array.from({ length: 300 }, (_, at) => `${at}`))
        assert.deepStrictEqual(served.asked, answers, "each request was carried out once, in order")
        assert.deepStrictEqual(served.admitted, ["lamp"], "it is one session throughout")
      }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer), Effect.timeout("80 seconds")),
    90_000
  )

  it.live("namespaces come and go while those that stay miss nothing", () =>
    Effect.gen(function*() {
      const { ports: [port = 0] } = yield* mosquitto()
      const namespaces = yield* SubscriptionRef.make<ReadonlyArray<string>>(["edge/lamp"])
      const { next, up } = yield* accepting(at(port, { clientId: "operator" }), {
        topicNamespaces: SubscriptionRef.changes(namespaces)
      })
      yield* up
      const lamp = yield* dialer(at(port)).connect
      yield* lamp.send(bytes("lamp"))
      const lampThere = yield* next
      const counting = yield* Effect.forkScoped(Effect.forEach(
        Array.from({ length: 1000 }),
        () => Effect.timeout(lampThere.receive, "5 seconds")
      ))
      const sending = yield* Effect.forkScoped(
        Effect.forEach(Array.from({ length: 999 }), () => Effect.andThen(lamp.send(bytes("more")), Effect.sleep(1)))
      )
      for (let round = 0; round < 10; round++) {
        yield* SubscriptionRef.set(namespaces, ["edge/lamp", ...Array.from({ length: round }, (_, at) => `edge/${at}`)])
        yield* Effect.sleep("50 millis")
      }
      yield* Fiber.join(sending)
      assert.strictEqual((yield* Fiber.join(counting)).length, 1000)

      yield* SubscriptionRef.set(namespaces, ["edge/door"])
      assert.match((yield* Effect.flip(lampThere.receive)).message, /not served any more/u)
      const door = yield* dialer(at(port, { clientId: "door" }), "edge/door").connect
      // It may come before the subscription does.
      const knocking = yield* Effect.forkScoped(
        Effect.forever(Effect.andThen(door.send(bytes("door")), Effect.sleep(200)))
      )
      assert.strictEqual(text(yield* (yield* next).receive), "door")
      yield* Fiber.interrupt(knocking)
    }).pipe(Effect.scoped, Effect.timeout("40 seconds")), 50_000)

  it.live(
    "messages that are too large are dropped, and the next ones arrive",
    () =>
      Effect.gen(function*() {
        const { ports: [port = 0] } = yield* mosquitto()
        const { next, up } = yield* accepting(at(port, { clientId: "operator", version: "3.1.1" }))
        yield* up
        const lamp = yield* dialer(at(port, { version: "3.1.1" })).connect
        yield* lamp.send(bytes("one"))
        const operator = yield* next
        yield* operator.receive
        const other = yield* Effect.acquireRelease(
          Effect.promise(() => mqtt.connectAsync({ host: "127.0.0.1", port, protocol: "mqtt" })),
          (other) => Effect.promise(() => other.endAsync(true))
        )
        const huge = Buffer.alloc(8 * 1024 * 1024)
        for (const topic of ["edge/lamp/msg", "edge/lamp/cmd"]) {
          for (let round = 0; round < 6; round++) {
            yield* Effect.promise(() => other.publishAsync(topic, huge, { qos: 1 }))
          }
        }
        yield* lamp.send(bytes("two"))
        assert.strictEqual(text(yield* operator.receive), "two")
        yield* operator.send(bytes("three"))
        assert.strictEqual(text(yield* lamp.receive), "three")
      }).pipe(Effect.scoped, Effect.timeout("40 seconds")),
    50_000
  )

  it.live("leaves no socket and no timer behind", () =>
    Effect.gen(function*() {
      const { ports: [port = 0] } = yield* mosquitto()
      const before = sockets()
      yield* Effect.scoped(Effect.gen(function*() {
        const { next, up } = yield* accepting(at(port, { clientId: "operator" }))
        yield* up
        for (let round = 0; round < 5; round++) {
          yield* Effect.scoped(Effect.gen(function*() {
            const lamp = yield* dialer(at(port)).connect
            yield* lamp.send(bytes("here"))
            yield* next
          }))
        }
      }))
      while (sockets() > before) yield* Effect.sleep("20 millis")
    }).pipe(Effect.scoped, Effect.timeout("20 seconds")))
})
