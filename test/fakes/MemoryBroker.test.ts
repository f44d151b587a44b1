/** The shipped ends of MQTT over a broker within this process, as over any other; and what that broker does wrong when asked. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, type Scope, Stream } from "effect"
import type { OpenBrokerClient } from "../../adapters/mqtt/BrokerClient.ts"
import { makeMqttAcceptor } from "../../adapters/mqtt/MqttAcceptor.ts"
import type { BrokerOptions } from "../../adapters/mqtt/MqttBroker.ts"
import { makeMqttDialer } from "../../adapters/mqtt/MqttDialer.ts"
import type { Dialer } from "../../core/link/Transport.ts"
import { transportContract } from "../contracts/transport.ts"
import { simulate } from "../simulation/VirtualTime.ts"
import { makeMemoryBroker } from "./MemoryBroker.ts"

const at = (clientId: string): BrokerOptions => ({
  host: "broker",
  port: 1883,
  transport: "tcp",
  version: "3.1.1",
  clientId
})

transportContract({
  name: "mqtt over a broker in memory",
  slow: "each frame takes some 30 ms to the broker and back",
  make: Effect.gen(function*() {
    const broker = yield* makeMemoryBroker
    const nobody = yield* makeMemoryBroker
    yield* nobody.stop(true)
    const listening = yield* Deferred.make<void>()
    let clients = 0
    // One connection for each client id, and nothing for an operator that has not subscribed.
    const dialing = (open: OpenBrokerClient): Dialer => ({
      method: "mqtt",
      connect: Effect.suspend(() =>
        makeMqttDialer({ broker: at(`device-${clients++}`), topicNamespace: "site/1", open }).connect
      )
    })
    const dialer = dialing(broker.line("device").open)
    return {
      dialer: { ...dialer, connect: Effect.andThen(Deferred.await(listening), dialer.connect) },
      acceptor: makeMqttAcceptor({
        broker: at("operator"),
        topicNamespaces: Stream.make(["site/1", "site/2"]),
        onState: ({ status }) =>
          status === "Connected" ? Effect.asVoid(Deferred.succeed(listening, undefined)) : Effect.void,
        open: broker.line("operator").open
      }),
      nowhere: dialing(nobody.line("device").open)
    }
  })
})

const client = (open: OpenBrokerClient, clientId: string, will?: string) =>
  Effect.gen(function*() {
    const heard: Array<string> = []
    const gone: Array<string> = []
    const made = open(
      {
        broker: at(clientId),
        will: will === undefined ? undefined : { topic: "a/status", payload: Buffer.from(will) },
        alwaysPing: false
      },
      {
        accepted: () => void heard.push("accepted"),
        message: (topic, payload, retained) => {
          heard.push(`${topic} ${Buffer.from(payload)}${retained ? " (retained)" : ""}`)
        },
        gone: ({ detail }) => void gone.push(detail)
      }
    )
    yield* Effect.sleep("1 second")
    return { ...made, heard, gone }
  })
const nothing = () => {}
const soon = Effect.sleep("5 seconds")

const twoClients = Effect.gen(function*() {
  const broker = yield* makeMemoryBroker
  const lines = { one: broker.line("one"), other: broker.line("other") }
  const one = yield* client(lines.one.open, "one", "one is gone")
  const other = yield* client(lines.other.open, "other")
  other.subscribe(["a/+"], nothing)
  yield* Effect.sleep("1 second")
  return { broker, lines, one, other }
})

const inTime = (name: string, test: Effect.Effect<void, never, Scope.Scope>) =>
  it.live(name, () => simulate(1, () => Effect.scoped(test)))

describe("a broker in memory", () => {
  inTime(
    "says the will of a client that is cut off, and not of one that takes its leave",
    Effect.gen(function*() {
      const { broker, lines, one, other } = yield* twoClients
      yield* one.leave
      yield* soon
      assert.deepStrictEqual(other.heard, ["accepted"])
      const again = yield* client(lines.one.open, "one", "one is gone")
      yield* broker.weather({ willMillis: 20_000 })
      yield* lines.one.cut()
      assert.lengthOf(again.gone, 1)
      yield* Effect.sleep("30 seconds")
      assert.deepStrictEqual(other.heard, ["accepted", "a/status one is gone"])
    })
  )

  inTime(
    "ends a client when another comes with its id",
    Effect.gen(function*() {
      const { lines, one, other } = yield* twoClients
      yield* client(lines.one.open, "one")
      assert.include(one.gone[0], "same client id")
      assert.include(other.heard, "a/status one is gone")
    })
  )

  inTime(
    "marks what it has retained, delivers twice, and loses what is under way when it restarts",
    Effect.gen(function*() {
      const { broker, lines, one, other } = yield* twoClients
      yield* broker.weather({ duplication: 1 })
      one.publish("a/msg", Buffer.from("twice"), 1, nothing)
      yield* soon
      assert.deepStrictEqual(other.heard, ["accepted", "a/msg twice", "a/msg twice"])
      yield* broker.weather({ duplication: 0, delayMillis: [2_000, 2_000] })
      let done = false
      one.publish("a/msg", Buffer.from("lost"), 1, () => void (done = true))
      yield* Effect.sleep("1 second")
      yield* broker.retain("a/cmd", Buffer.from("old"))
      yield* broker.stop(false)
      yield* soon
      assert.isTrue(done, "acknowledged before it was lost")
      assert.notInclude(other.heard, "a/msg lost")
      assert.lengthOf(other.gone, 1)
      assert.lengthOf((yield* client(lines.other.open, "other")).gone, 1, "nobody there")
      yield* broker.start
      const again = yield* client(lines.other.open, "other")
      again.subscribe(["a/+"], nothing)
      yield* soon
      assert.deepStrictEqual(again.heard, ["accepted", "a/cmd old (retained)"])
    })
  )

  inTime(
    "holds back what a dark line carries, and gives a client up that is not heard for long",
    Effect.gen(function*() {
      const { lines, one, other } = yield* twoClients
      yield* lines.one.darken(true)
      one.publish("a/msg", Buffer.from("late"), 0, nothing)
      yield* soon
      assert.deepStrictEqual(other.heard, ["accepted"])
      yield* lines.one.darken(false)
      yield* soon
      assert.deepStrictEqual(other.heard, ["accepted", "a/msg late"])
      yield* lines.one.darken(true)
      yield* Effect.sleep("10 minutes")
      assert.deepStrictEqual(other.heard, ["accepted", "a/msg late", "a/status one is gone"])
      assert.lengthOf(one.gone, 1)
    })
  )
})
