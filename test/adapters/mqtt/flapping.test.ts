import { assert, describe, it } from "@effect/vitest"
import { Effect, Random, type Scope, Stream } from "effect"
import type { OpenBrokerClient } from "../../../adapters/mqtt/BrokerClient.ts"
import { type BrokerState, makeMqttAcceptor, type MqttAcceptorOptions } from "../../../adapters/mqtt/MqttAcceptor.ts"
import type { BrokerOptions } from "../../../adapters/mqtt/MqttBroker.ts"
import { TransportError } from "../../../core/link/Transport.ts"
import { makeMemoryBroker } from "../../fakes/MemoryBroker.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { aedesBroker } from "./aedesBroker.ts"

const broker = (port = 1883): BrokerOptions => ({
  host: "127.0.0.1",
  port,
  transport: "tcp",
  version: "3.1.1",
  clientId: "operator"
})

/** An acceptor, and how often it told which state. */
const accepting = Effect.fnUntraced(function*(options: Partial<MqttAcceptorOptions>) {
  const told: Record<BrokerState["status"], number> = { Connected: 0, Disconnected: 0 }
  yield* Effect.forkScoped(
    makeMqttAcceptor({
      broker: broker(),
      topicNamespaces: Stream.make(["edge/lamp"]),
      ...options,
      onState: ({ status }) => Effect.sync(() => void (told[status] += 1))
    }).run(() => Effect.never)
  )
  return told
})

/** Lets everybody in, confirms everything (or only as it hangs up), and ends each connection after so long. */
const endingAfter = Effect.fnUntraced(function*(lastsMillis: () => number, confirms = true) {
  const context = yield* Effect.context<Scope.Scope>()
  let opened = 0
  const open: OpenBrokerClient = (_, { accepted, gone }) => {
    const unconfirmed: Array<() => void> = []
    const end = Effect.sync(() => {
      for (const done of unconfirmed) done()
      gone(new TransportError({ reason: "Lost", detail: "the broker ended the connection" }))
    })
    opened += 1
    accepted({})
    Effect.runSyncWith(context)(Effect.forkScoped(Effect.delay(end, lastsMillis())))
    return {
      publish: (_, __, ___, done) => confirms ? done(undefined) : void unconfirmed.push(() => done(undefined)),
      subscribe: (topics, done) => done(topics.map(() => 1)),
      unsubscribe: (_, done) => done(),
      leave: Effect.void,
      cut: () => {}
    }
  }
  return { open, opened: () => opened }
})

const inTime = <E>(name: string, test: Effect.Effect<void, E, Scope.Scope>) =>
  it.live(name, () => simulate(1, () => Effect.scoped(test)))

describe("a broker that lets the operator in and cuts it off again", () => {
  inTime(
    "is dialed ever less often, and told as connected once",
    Effect.gen(function*() {
      const { open, opened } = yield* endingAfter(() => 500)
      const told = yield* accepting({ open })
      yield* Effect.sleep("1 hour")
      // Half of the longest wait, again and again.
      assert.isAbove(opened(), 150)
      assert.isBelow(opened(), 350)
      assert.strictEqual(told.Connected, 1)
    })
  )

  inTime(
    "after a while each time is soon not told as connected any more",
    Effect.gen(function*() {
      const { open } = yield* endingAfter(() => 20_000)
      const told = yield* accepting({ open })
      yield* Effect.sleep("1 hour")
      assert.isBelow(told.Connected, 12)
    })
  )

  inTime(
    "is as good as new once a connection has lasted",
    Effect.gen(function*() {
      let lastsMillis = 500
      const { open, opened } = yield* endingAfter(() => lastsMillis)
      const told = yield* accepting({ open })
      yield* Effect.sleep("10 minutes")
      assert.strictEqual(told.Connected, 1)
      lastsMillis = 40_000
      yield* Effect.sleep("2 minutes")
      const [before, connectedBefore] = [opened(), told.Connected]
      yield* Effect.sleep("41 minutes")
      // Each lasts 40 s, and is followed by the next within one.
      assert.isAtLeast(opened() - before, 60)
      assert.strictEqual(told.Connected - connectedBefore, opened() - before)
    })
  )

  inTime(
    "because another operator has the same client id sees both of them come ever less often",
    Effect.gen(function*() {
      const memory = yield* makeMemoryBroker
      const both = yield* Effect.forEach(
        ["one", "other"],
        (name) => accepting({ open: memory.line(name).open })
      )
      yield* Effect.sleep("1 hour")
      assert.isBelow(memory.counts.takenOver, 600)
      for (const { Connected } of both) assert.isBelow(Connected, 60)
    })
  )

  inTime(
    "before it confirms anything is never told as connected",
    Effect.gen(function*() {
      const { open, opened } = yield* endingAfter(() => 500, false)
      const told = yield* accepting({ open })
      yield* Effect.sleep("1 hour")
      assert.isAbove(opened(), 150)
      assert.strictEqual(told.Connected, 0)
    })
  )

  it.live("for the first thing it says is never told as connected", () =>
    Effect.gen(function*() {
      let connects = 0
      const denying = yield* aedesBroker({
        authorizePublish: (_, __, decide) => decide(new Error("not allowed"))
      })
      denying.broker.on("clientReady", () => void (connects += 1))
      const told = yield* accepting({
        broker: broker(denying.port),
        backoff: () => ({ initialDelay: "50 millis", factor: 2 })
      })
      yield* Effect.sleep("4 seconds")
      assert.isAbove(connects, 3)
      assert.isBelow(connects, 16)
      assert.strictEqual(told.Connected, 0)
    }).pipe(Effect.scoped, Random.withSeed(5)))
})

describe("a broker that keeps the operator", () => {
  inTime(
    "is told as connected at once, and some seconds later if it never confirms a thing",
    Effect.gen(function*() {
      const confirming = yield* accepting({ open: (yield* endingAfter(() => 3_600_000)).open })
      const mute = yield* accepting({ open: (yield* endingAfter(() => 3_600_000, false)).open })
      yield* Effect.sleep("1 milli")
      assert.deepStrictEqual([confirming.Connected, mute.Connected], [1, 0])
      yield* Effect.sleep("6 seconds")
      assert.deepStrictEqual([confirming.Connected, mute.Connected], [1, 1])
    })
  )
})
