/** How many new connections an operator takes up at a broker, where anybody may claim to begin one. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Random } from "effect"
import { TestClock } from "effect/testing"
import type { BrokerConnection } from "../../../adapters/mqtt/brokerConnection.ts"
import { encode, Kind, newConnectionId } from "../../../adapters/mqtt/envelope.ts"
import { Switchboard } from "../../../adapters/mqtt/Switchboard.ts"
import type { Connection } from "../../../core/link/Transport.ts"

const hints: Array<string> = []
const through: BrokerConnection = {
  publish: () => Effect.void,
  hint: (topic, payload) => void hints.push(`${topic} ${payload[0] === Kind.End ? "End" : "something else"}`),
  subscribe: () => Effect.succeed([]),
  unsubscribe: () => Effect.void,
  gone: Effect.never
}

const makeBoard = Effect.gen(function*() {
  hints.length = 0
  const served: Array<{ readonly connection: Connection; readonly done: () => void }> = []
  const board = new Switchboard({
    broker: "127.0.0.1:1883",
    maxFrame: 1024,
    maxConnections: 20_000,
    clock: yield* Clock.Clock,
    random: yield* Random.Random,
    isShared: (topicNamespace) => topicNamespace === "edge/door",
    serve: (connection, done) => void served.push({ connection, done })
  })
  board.serveNamespaces(new Set(["edge/lamp", "edge/door"]))
  const begin = (topicNamespace: string) => {
    const { id } = newConnectionId()
    board.deliver(through, `${topicNamespace}/msg`, encode(Kind.Open, id, Uint8Array.of(1)))
    return id
  }
  const flood = (topicNamespace: string, count: number) => {
    const before = served.length
    for (let n = 0; n < count; n++) begin(topicNamespace)
    return served.length - before
  }
  return { board, served, begin, flood }
})

describe("new connections of one namespace", () => {
  it.effect("are a hundred at once and fifty in a second, and no other namespace waits for them", () =>
    Effect.gen(function*() {
      const { flood } = yield* makeBoard
      assert.strictEqual(flood("edge/lamp", 1000), 100)
      assert.strictEqual(flood("edge/lamp", 1000), 0)
      assert.strictEqual(flood("edge/door", 10), 10)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(flood("edge/lamp", 1000), 50)
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(flood("edge/lamp", 1000), 5)
      // What is not used is not saved up.
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(flood("edge/lamp", 1000), 100)
    }))

  it.effect("are sixty-four that have proven nothing; one that has is not given up for them", () =>
    Effect.gen(function*() {
      const { board, begin, flood, served } = yield* makeBoard
      const id = begin("edge/lamp")
      const { connection } = served[0]!
      yield* connection.receive
      yield* connection.proven ?? Effect.void
      for (let second = 0; second < 20; second++) {
        flood("edge/lamp", 1000)
        yield* TestClock.adjust("1 second")
      }
      /** One that was given up fails once what had come is taken; one that was not waits for more. */
      const givenUp = (each: Connection) =>
        Effect.raceFirst(
          Effect.match(Effect.forever(each.receive), { onFailure: () => true, onSuccess: () => true }),
          Effect.as(Effect.yieldNow, false)
        )
      const lost = yield* Effect.forEach(served, (one) => givenUp(one.connection))
      assert.isFalse(lost[0], "the proven one")
      assert.strictEqual(lost.filter((gone) => !gone).length, 64 + 1)
      board.deliver(through, "edge/lamp/msg", encode(Kind.Frame, id, Uint8Array.of(7)))
      assert.deepStrictEqual(yield* connection.receive, Uint8Array.of(7))
    }))
})

describe("a namespace in which another operator may have devices", () => {
  it.effect("hears nothing of connections that are not known, nor of the end of those that were", () =>
    Effect.gen(function*() {
      const { begin, board, served } = yield* makeBoard
      const saysOf = (topicNamespace: string) => {
        for (const kind of [Kind.Frame, Kind.Ask]) {
          board.deliver(through, `${topicNamespace}/msg`, encode(kind, newConnectionId().id))
        }
        begin(topicNamespace)
        served.at(-1)?.done()
        return hints.splice(0)
      }
      assert.deepStrictEqual(saysOf("edge/lamp"), ["edge/lamp/cmd End", "edge/lamp/cmd End", "edge/lamp/cmd End"])
      assert.deepStrictEqual(saysOf("edge/door"), [])
    }))
})
