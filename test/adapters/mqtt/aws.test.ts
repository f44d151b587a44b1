import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Stream, SubscriptionRef } from "effect"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { brokerProblems, namespaceProblem } from "../../../adapters/mqtt/brokerRules.ts"
import { makeMqttAcceptor } from "../../../adapters/mqtt/MqttAcceptor.ts"
import type { BrokerOptions } from "../../../adapters/mqtt/MqttBroker.ts"
import { makeMqttDialer } from "../../../adapters/mqtt/MqttDialer.ts"
import { deviceOn, operatorOn } from "../../contracts/linked.ts"
import { makeAuthority } from "../grpc/certificates.ts"
import { awsBroker, type Policy } from "./awsBroker.ts"

const authority = makeAuthority("the service's")

const ofDevice = (name: string): Policy => ({
  publish: [`example.com/${name}/msg`, `example.com/${name}/status`],
  subscribe: [`example.com/${name}/cmd`]
})
const ofOperator: Policy = {
  publish: ["example.com/+/cmd"],
  subscribe: ["example.com/+/msg", "example.com/+/status"]
}

const as = (thing: string, port: number): BrokerOptions => ({
  host: "127.0.0.1",
  port,
  transport: "tls",
  version: "3.1.1",
  variant: "aws-iot-core",
  tls: { ca: authority.cert, serverName: "iot.example", identity: authority.issue(thing) },
  clientId: thing
})

const eventually = (what: string, holds: () => boolean) =>
  Effect.gen(function*() {
    while (!holds()) yield* Effect.sleep("20 millis")
  }).pipe(Effect.timeoutOrElse({ duration: "20 seconds", orElse: () => Effect.die(new Error(`never: ${what}`)) }))

const operator = Effect.fnUntraced(function*(port: number, topicNamespaces: Stream.Stream<ReadonlyArray<string>>) {
  const listening = yield* Deferred.make<void>()
  const made = yield* operatorOn(makeMqttAcceptor({
    broker: as("operator", port),
    topicNamespaces,
    onState: ({ status }) =>
      status === "Connected" ? Effect.asVoid(Deferred.succeed(listening, undefined)) : Effect.void
  }))
  yield* Deferred.await(listening)
  return made
})

/** An operator and a device with a session through the service. */
const linkedLamp = Effect.gen(function*() {
  const aws = yield* awsBroker(authority, { operator: ofOperator, lamp: ofDevice("lamp") })
  yield* operator(aws.port, Stream.make(["example.com/lamp"]))
  const dialer = makeMqttDialer({ broker: as("lamp", aws.port), topicNamespace: "example.com/lamp" })
  const { session } = yield* deviceOn("lamp", dialer)
  return { aws, lamp: yield* session }
})

describe("MQTT with the rules of AWS IoT Core", () => {
  it.live("carries a link, large messages included, without an offence", () =>
    Effect.gen(function*() {
      const { aws, lamp } = yield* linkedLamp
      const message = new Uint8Array(1024 * 1024).fill(7)
      assert.strictEqual((yield* lamp.request(message)).length, message.length)
      assert.deepStrictEqual(aws.offences, [])
      assert.deepStrictEqual([...aws.connected].sort(), ["lamp", "operator"])
    }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer), Effect.timeout("50 seconds")))

  it.live("publishes no faster than the service takes, however much there is to say", () =>
    Effect.gen(function*() {
      const { aws, lamp } = yield* linkedLamp
      const question = new Uint8Array(2000).fill(7)
      yield* Effect.forEach(Array.from({ length: 400 }), () => lamp.request(question), {
        concurrency: 8,
        discard: true
      })
      assert.deepStrictEqual(aws.offences, [])
    }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer), Effect.timeout("50 seconds")))

  it.live("sends frames of exactly the limit, and none above", () =>
    Effect.gen(function*() {
      const aws = yield* awsBroker(authority, { operator: ofOperator, lamp: ofDevice("lamp") })
      const dialer = makeMqttDialer({ broker: as("lamp", aws.port), topicNamespace: "example.com/lamp" })
      const connection = yield* dialer.connect
      yield* connection.send(new Uint8Array(connection.maxFrame))
      yield* Effect.sleep("200 millis")
      assert.deepStrictEqual(aws.offences, [])
      assert.isTrue(aws.connected.has("lamp"))
    }).pipe(Effect.scoped, Effect.timeout("20 seconds")))

  it.live("serves more namespaces than it has subscriptions, by wildcards, and goes back when there are fewer", () =>
    Effect.gen(function*() {
      const aws = yield* awsBroker(authority, { operator: ofOperator, lamp: ofDevice("lamp") })
      const few = ["example.com/lamp", "example.com/door"]
      const many = [...few, ...Array.from({ length: 100 }, (_, at) => `example.com/thing-${at}`)]
      const namespaces = yield* SubscriptionRef.make<ReadonlyArray<string>>(few)
      yield* operator(aws.port, SubscriptionRef.changes(namespaces))
      const mine = () => [...aws.subscriptions.get("operator") ?? []].sort()
      const dialer = makeMqttDialer({ broker: as("lamp", aws.port), topicNamespace: "example.com/lamp" })
      const lamp = yield* (yield* deviceOn("lamp", dialer)).session
      assert.strictEqual(mine().length, 4)

      yield* SubscriptionRef.set(namespaces, many)
      yield* eventually("wildcards", () => mine().join() === "example.com/+/msg,example.com/+/status")
      yield* lamp.request(new Uint8Array(10))
      yield* SubscriptionRef.set(namespaces, few)
      yield* eventually("single ones", () => mine().length === 4)
      yield* lamp.request(new Uint8Array(10))
      assert.deepStrictEqual(aws.offences, [])
    }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer), Effect.timeout("50 seconds")))

  it.live("hears every device while they come and go one by one, across what it may subscribe to", () =>
    Effect.gen(function*() {
      const aws = yield* awsBroker(authority, { operator: ofOperator, lamp: ofDevice("lamp") })
      const counted = (count: number) => [
        "example.com/lamp",
        ...Array.from({ length: count - 1 }, (_, at) => `example.com/thing-${at}`)
      ]
      const namespaces = yield* SubscriptionRef.make<ReadonlyArray<string>>(counted(22))
      yield* operator(aws.port, SubscriptionRef.changes(namespaces))
      const mine = () => aws.subscriptions.get("operator")?.size ?? 0
      const dialer = makeMqttDialer({ broker: as("lamp", aws.port), topicNamespace: "example.com/lamp" })
      const lamp = yield* (yield* deviceOn("lamp", dialer)).session
      for (const count of [23, 24, 25, 26, 27, 26, 25, 24, 23]) {
        yield* SubscriptionRef.set(namespaces, counted(count))
        yield* eventually(`subscriptions of ${count}`, () => mine() === (count > 24 ? 2 : count * 2))
        yield* lamp.request(new Uint8Array(10))
      }
      assert.deepStrictEqual(aws.offences, [])
    }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer), Effect.timeout("50 seconds")))

  it.live("tells which namespaces it has no subscription left for, where they share no level", () =>
    Effect.gen(function*() {
      const scattered = Array.from({ length: 30 }, (_, at) => `example.com/site-${at}/thing`)
      const subscribe = scattered.flatMap((_, at) =>
        ["msg", "status"].map((kind) => `example.com/site-${at}/+/${kind}`)
      )
      const aws = yield* awsBroker(authority, { operator: { publish: ["example.com/+/+/cmd"], subscribe } })
      const refused: Array<string> = []
      const up = yield* Deferred.make<void>()
      yield* operatorOn(makeMqttAcceptor({
        broker: as("operator", aws.port),
        topicNamespaces: Stream.make(scattered),
        onState: () => Effect.asVoid(Deferred.succeed(up, undefined)),
        onNamespaceRefused: (topicNamespace, why) => Effect.sync(() => void refused.push(`${topicNamespace}: ${why}`))
      }))
      yield* Deferred.await(up)
      assert.lengthOf(refused, 5)
      assert.match(refused.join("\n"), /may have 50 subscriptions: let devices share the levels/u)
      assert.strictEqual(aws.subscriptions.get("operator")?.size, 50)
      assert.deepStrictEqual(aws.offences, [])
    }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer), Effect.timeout("50 seconds")))

  it.live("tells which namespaces the operator's policy does not allow, and serves the others", () =>
    Effect.gen(function*() {
      const aws = yield* awsBroker(authority, { operator: ofOperator, lamp: ofDevice("lamp") })
      const refused: Array<string> = []
      const up = yield* Deferred.make<void>()
      const acceptor = makeMqttAcceptor({
        broker: as("operator", aws.port),
        topicNamespaces: Stream.make(["elsewhere/lamp", "example.com/lamp", "a//b"]),
        onState: () => Effect.asVoid(Deferred.succeed(up, undefined)),
        onNamespaceRefused: (topicNamespace, why) => Effect.sync(() => void refused.push(`${topicNamespace}: ${why}`))
      })
      yield* operatorOn(acceptor)
      yield* Deferred.await(up)
      const dialer = makeMqttDialer({ broker: as("lamp", aws.port), topicNamespace: "example.com/lamp" })
      yield* (yield* (yield* deviceOn("lamp", dialer)).session).request(new Uint8Array(10))
      assert.lengthOf(refused, 2)
      assert.match(refused.join("\n"), /^a\/\/b: .*an empty level$/mu)
      assert.match(refused.join("\n"), /^elsewhere\/lamp: .*does not let us subscribe.*access rules$/mu)
    }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer), Effect.timeout("50 seconds")))

  it.live("says what to look at where the service cuts a stranger off", () =>
    Effect.gen(function*() {
      const aws = yield* awsBroker(authority, { lamp: ofDevice("lamp") })
      const dial = (broker: BrokerOptions, topicNamespace = "example.com/lamp") =>
        Effect.flip(Effect.scoped(makeMqttDialer({ broker, topicNamespace }).connect))
      // Another's client id: the service says nothing and hangs up.
      const other = yield* dial({ ...as("door", aws.port), clientId: "lamp" })
      assert.match(other.message, /certificate is active, and that its policy allows this client id/u)
      const denied = yield* dial(as("lamp", aws.port), "example.com/door")
      assert.strictEqual(denied.reason, "Rejected")
      assert.match(denied.message, /does not let this client subscribe to example\.com\/door\/cmd/u)
      const stranger = makeAuthority("somebody else's")
      const unknown = yield* dial({
        ...as("lamp", aws.port),
        tls: { ca: authority.cert, serverName: "iot.example", identity: stranger.issue("lamp") }
      })
      assert.notStrictEqual(unknown.reason, "Lost")
    }).pipe(Effect.timeout("30 seconds")))

  it("refuses by sentence what the service would answer with silence", () => {
    const good = as("lamp", 443)
    assert.deepStrictEqual(brokerProblems(good), [])
    const { tls: _, ...bare } = good
    assert.match(brokerProblems(bare).join(), /needs a client certificate/u)
    assert.match(brokerProblems({ ...good, clientId: "a lamp" }).join(), /name of a thing/u)
    assert.match(brokerProblems({ ...good, keepalive: "10 seconds" }).join(), /between 30 s and 1200 s/u)
    assert.match(brokerProblems({ ...good, username: "lamp" }).join(), /username and password have no place/u)
    assert.match(brokerProblems({ ...good, maxPayload: 200_000 }).join(), /at most 128 KiB/u)
    assert.match(brokerProblems({ ...good, transport: "tcp" }).join(), /transport tls/u)
    assert.isUndefined(namespaceProblem("a/b/c/d/e/f/g", "aws-iot-core"))
    assert.match(namespaceProblem("a/b/c/d/e/f/g/h", "aws-iot-core") ?? "", /slashes/u)
    assert.match(namespaceProblem("a".repeat(250), "aws-iot-core") ?? "", /longer than/u)
  })
})
