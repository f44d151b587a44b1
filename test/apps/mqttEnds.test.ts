/**
 * One broker as both programs are told of it: the agent by its file, the operator by an EdgeDevice and the Secrets that it names.
 * What neither of them can say wrong and still be heard is proven by a request; the rest as the broker sees it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Stream } from "effect"
import { Base64 } from "effect/encoding"
import { type IConnectPacket, parser as makeParser } from "mqtt-packet"
import { createServer, type Server } from "node:net"
import { stringify } from "yaml"
import { NodeCryptography } from "../../adapters/crypto/NodeCryptography.ts"
import { headerLength } from "../../adapters/mqtt/envelope.ts"
import { openBroker } from "../../apps/aranya/openBroker.ts"
import { ArhatConfig } from "../../apps/arhat/ArhatConfig.ts"
import { dialers } from "../../apps/arhat/dialers.ts"
import { decodeConfig } from "../../core/config/decodeConfig.ts"
import { decodeEdgeDevice } from "../../core/device/decodeEdgeDevice.ts"
import type { Secret } from "../../core/kube/kinds.ts"
import type { Connection, Dialer } from "../../core/link/Transport.ts"
import { brokerAccess } from "../../core/operator/brokerAccess.ts"
import type { BrokerState } from "../../core/operator/Brokers.ts"
import { type Issued, makeAuthority } from "../adapters/grpc/certificates.ts"
import { aedesBroker, overTls, overWebsockets, type Serve } from "../adapters/mqtt/aedesBroker.ts"
import { awsBroker } from "../adapters/mqtt/awsBroker.ts"
import { hasMosquitto, mosquitto } from "../adapters/mqtt/mosquitto.ts"

const topics = "example.com/lamp"

const authority = makeAuthority("the broker's")
const identity = authority.issue("broker.example")

/** What stands at one end beside the address of the broker. */
interface Told {
  readonly mqtt: object
  readonly tls?: Readonly<Record<string, string>>
  readonly login?: Readonly<Record<string, string>>
}

const text = (pem: Uint8Array) => new TextDecoder().decode(pem)

const agentIdentity = ({ cert, key }: Issued) => ({ certData: Base64.encode(cert), keyData: Base64.encode(key) })
const secretIdentity = ({ cert, key }: Issued) => ({ "tls.crt": text(cert), "tls.key": text(key) })

const agentTls = (serverName: string) => ({ caCertData: Base64.encode(authority.cert), serverName })
const secretTls = (serverName: string) => ({ "ca.crt": text(authority.cert), serverName })

/** By a name that is in no certificate: what a broker shows must be of the name that is told. */
const addressOf = (port: number) => `localhost:${port}`

const agent = Effect.fnUntraced(function*(port: number, mqtt: object) {
  const method = {
    name: "mqtt",
    config: {
      endpoint: addressOf(port),
      clientID: "lamp",
      topicNamespaceFrom: { text: topics },
      tls: { enabled: false },
      ...mqtt
    }
  }
  const yaml = stringify({
    arhat: { device: "lamp" },
    connectivity: { operatorKey: `${"A".repeat(43)}=`, methods: [method] }
  })
  const [dialer] = yield* dialers(yield* decodeConfig(ArhatConfig)("arhat.yaml", yaml, () => undefined))
  return dialer ?? assert.fail("there is no way")
})

const secretOf = (name: string, type: string, data: Readonly<Record<string, string>>): Secret => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { namespace: "edge", name },
  type,
  data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Base64.encode(value)]))
})

/** The operator's connection to the broker, which hands each of those to devices to `serve`, and what comes of it at first. */
const operator = Effect.fnUntraced(function*(
  port: number,
  { login, mqtt, tls }: Told,
  serve: (connection: Connection) => Effect.Effect<void> = () => Effect.never
) {
  const device = yield* decodeEdgeDevice({
    metadata: { namespace: "edge", name: "lamp", uid: "u-1", generation: 1 },
    spec: {
      connectivity: {
        method: "mqtt",
        mqtt: {
          broker: addressOf(port),
          clientID: "operator",
          topicNamespace: topics,
          ...(tls === undefined ? {} : { tlsSecretRef: { name: "broker-tls" } }),
          ...(login === undefined ? {} : { userPassRef: { name: "broker-login" } }),
          ...mqtt
        }
      }
    }
  })
  const named = device.spec.connectivity.mqtt ?? assert.fail("there is no broker")
  const reading = brokerAccess(
    named,
    tls && secretOf("broker-tls", "Opaque", tls),
    login && secretOf("broker-login", "kubernetes.io/basic-auth", login)
  )
  if ("wrong" in reading) return assert.fail(reading.wrong)
  const state = yield* Deferred.make<BrokerState>()
  yield* (yield* openBroker)(reading.found, {
    topicNamespaces: Stream.make([topics]),
    backoff: () => device.spec.connectivity.backoff,
    isLeft: () => false,
    onState: (now) => Effect.asVoid(Deferred.succeed(state, now)),
    onRefused: (_, why = "") => Effect.asVoid(Deferred.succeed(state, { _tag: "Down", why }))
  }).run(serve).pipe(Effect.forkScoped)
  return { state: Deferred.await(state) }
})

/** A request and its answer, each as long as its end makes a payload; tells how long that is. */
const converse = Effect.fnUntraced(function*(port: number, ends: { readonly agent: object; readonly operator: Told }) {
  const answering = yield* Deferred.make<number>()
  const { state } = yield* operator(port, ends.operator, (connection) =>
    Effect.ignore(Effect.gen(function*() {
      yield* Deferred.succeed(answering, connection.maxFrame + headerLength)
      yield* connection.receive
      yield* connection.send(new Uint8Array(connection.maxFrame))
      yield* Effect.never
    })))
  assert.deepStrictEqual(yield* state, { _tag: "Up" })
  const dialer: Dialer = yield* agent(port, ends.agent)
  const connection = yield* dialer.connect
  assert.strictEqual(dialer.maxFrame, connection.maxFrame, "known before there is a connection: other methods heed it")
  yield* connection.send(Uint8Array.of(1))
  const asking = connection.maxFrame + headerLength
  assert.strictEqual((yield* connection.receive).length + headerLength, asking)
  return { agent: asking, operator: yield* Deferred.await(answering) }
}, Effect.timeout("20 seconds"))

/** Takes down the CONNECT of each client by its id, and hangs up on it. */
const connectTaker = Effect.gen(function*() {
  const came = { lamp: yield* Deferred.make<IConnectPacket>(), operator: yield* Deferred.make<IConnectPacket>() }
  const server = yield* Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      const server = createServer((socket) => {
        const parser = makeParser()
        parser.on("packet", (packet) => {
          if (packet.cmd === "connect") {
            const waiting = packet.clientId === "lamp" ? came.lamp : came.operator
            Deferred.doneUnsafe(waiting, Effect.succeed(packet))
          }
          socket.destroy()
        })
        socket.on("error", () => {}).on("data", (chunk: Buffer) => parser.parse(chunk))
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  )
  const port = (server.address() as { readonly port: number }).port
  const of = (client: keyof typeof came) =>
    Effect.map(
      Effect.timeout(Deferred.await(came[client]), "20 seconds"),
      ({ keepalive, password, protocolVersion, username }) => ({
        version: protocolVersion,
        keepalive,
        username,
        password: password?.toString()
      })
    )
  return { port, of }
})

/** What a broker wants of both ends, and of nobody else. */
const passwords = { lamp: "of the lamp", operator: "of the operator" }
const logins = {
  agent: { username: "lamp", password: passwords.lamp },
  operator: { username: "operator", password: passwords.operator }
}

describe("both programs", () => {
  const path = "/elsewhere"
  const ways: ReadonlyArray<readonly [transport: "tcp" | "websocket", encrypted: boolean, serve: Serve | undefined]> = [
    ["tcp", false, undefined],
    ["tcp", true, overTls(identity)],
    ["websocket", false, overWebsockets({ path })],
    ["websocket", true, overWebsockets({ path, identity })]
  ]
  for (const [transport, encrypted, serve] of ways) {
    it.live(`meet at a broker by ${transport}${encrypted ? " over TLS" : ""}, each with its login`, () =>
      Effect.gen(function*() {
        const { port } = yield* aedesBroker({
          authenticate: (client, username, password, decide) =>
            decide(null, client.id === username && passwords[client.id as "lamp"] === password?.toString())
        }, serve)
        const mqtt = {
          transport,
          maxPayloadSize: 20_000,
          ...(transport === "websocket" ? { websocketPath: path } : {})
        }
        const payloads = yield* converse(port, {
          agent: { ...mqtt, ...logins.agent, ...(encrypted ? { tls: agentTls("broker.example") } : {}) },
          operator: { mqtt, login: logins.operator, ...(encrypted ? { tls: secretTls("broker.example") } : {}) }
        })
        assert.deepStrictEqual(payloads, { agent: 20_000, operator: 20_000 })
      }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer)))
  }

  it.live("meet at a broker with the rules of AWS IoT Core, each with its certificate", () =>
    Effect.gen(function*() {
      const aws = yield* awsBroker(authority, {
        lamp: { publish: [`${topics}/msg`, `${topics}/status`], subscribe: [`${topics}/cmd`] },
        operator: { publish: [`${topics}/cmd`], subscribe: [`${topics}/msg`, `${topics}/status`] }
      })
      const mqtt = { variant: "aws-iot-core" }
      yield* converse(aws.port, {
        agent: { ...mqtt, tls: { ...agentTls("iot.example"), ...agentIdentity(authority.issue("lamp")) } },
        operator: { mqtt, tls: { ...secretTls("iot.example"), ...secretIdentity(authority.issue("operator")) } }
      })
      assert.deepStrictEqual(aws.offences, [])
    }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer)))

  it.live("introduce themselves to a broker in the words they were told", () =>
    Effect.gen(function*() {
      for (const [version, number] of [["3.1.1", 4], ["5", 5]] as const) {
        const { of, port } = yield* connectTaker
        yield* operator(port, { mqtt: { version, keepaliveInterval: "70s" }, login: logins.operator })
        const { connect } = yield* agent(port, { version, keepaliveInterval: "45s", ...logins.agent })
        assert.strictEqual((yield* Effect.flip(Effect.scoped(connect))).reason, "Refused")
        assert.deepStrictEqual(yield* of("lamp"), { version: number, keepalive: 45, ...logins.agent })
        assert.deepStrictEqual(yield* of("operator"), { version: number, keepalive: 70, ...logins.operator })
      }
    }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer)))

  it.live.skipIf(!hasMosquitto)("meet at a broker in MQTT 5", () =>
    Effect.gen(function*() {
      const { output, ports: [port = 0] } = yield* mosquitto()
      const mqtt = { version: "5" }
      yield* converse(port, { agent: mqtt, operator: { mqtt } })
      for (const client of ["lamp", "operator"]) assert.match(output(), new RegExp(` as ${client} \\(p5, `, "u"))
    }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer)))
})
