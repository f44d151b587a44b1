import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Queue } from "effect"
import { unprovenAtAll, UnprovenCalls, unprovenInConnection } from "../../../adapters/grpc/UnprovenCalls.ts"
import { listening } from "./listening.ts"
import { call, http2 } from "./rawPeer.ts"

const resourceExhausted = "8"

describe("calls that have proven nothing", () => {
  it.live("keep no device out: they are not among the connections an operator takes", () =>
    Effect.gen(function*() {
      const strangers = 5
      const turns = yield* Queue.unbounded<number>()
      let met = 0
      const { port } = yield* listening({ maxConnections: 1 }, (connection) =>
        Effect.gen(function*() {
          met += 1
          if (met > strangers) yield* connection.proven ?? Effect.void
          yield* Queue.offer(turns, met)
          yield* Effect.ignore(Effect.forever(connection.receive))
        }))
      const session = yield* http2(port)
      for (let count = 0; count < strangers; count++) call(session)
      yield* Queue.takeN(turns, strangers)
      const device = call(session)
      assert.strictEqual(yield* Queue.take(turns), strangers + 1)
      assert.strictEqual(yield* Effect.promise(() => call(session).status), resourceExhausted, "it takes one")
      assert.isFalse(device.stream.closed)
    }).pipe(Effect.scoped))

  it.live("are no more than the operator takes, however many prove their keys at once", () =>
    Effect.gen(function*() {
      const proving = yield* Deferred.make<void>()
      const turns = yield* Queue.unbounded<void>()
      const { port } = yield* listening({ maxConnections: 1 }, (connection) =>
        Effect.gen(function*() {
          yield* Queue.offer(turns, undefined)
          yield* Deferred.await(proving)
          yield* connection.proven ?? Effect.void
          yield* Effect.ignore(Effect.forever(connection.receive))
        }))
      const session = yield* http2(port)
      const calls = [call(session), call(session)]
      yield* Queue.takeN(turns, calls.length)
      yield* Deferred.succeed(proving, undefined)
      const ended = yield* Effect.promise(() => Promise.race(calls.map(({ status }) => status)))
      assert.strictEqual(ended, resourceExhausted)
      assert.lengthOf(calls.filter(({ stream }) => !stream.closed), 1)
    }).pipe(Effect.scoped))

  it.live("make room for one another by chance, those of their own connection first", () =>
    Effect.gen(function*() {
      const { port } = yield* listening({}, (connection) => Effect.ignore(Effect.forever(connection.receive)))
      const session = yield* http2(port)
      const calls = Array.from({ length: unprovenInConnection + 3 }, () => call(session))
      const ended: Array<string> = []
      for (const { status } of calls) void status.then((code) => ended.push(code))
      while (ended.length < 3) yield* Effect.promise(() => new Promise((next) => setImmediate(next)))
      assert.deepStrictEqual(ended, [resourceExhausted, resourceExhausted, resourceExhausted])
    }).pipe(Effect.scoped))

  it("are so many altogether, and none that has proven its key is among them", () => {
    const calls = new UnprovenCalls({ nextDoubleUnsafe: () => 0 })
    const given: Array<number> = []
    const forgets = Array.from({ length: unprovenAtAll }, (_, index) => calls.add({}, () => given.push(index)))
    forgets[0]?.()
    calls.add({}, () => given.push(-1))
    assert.deepStrictEqual(given, [])
    calls.add({}, () => given.push(-2))
    assert.deepStrictEqual(given, [1])
  })
})
