import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { Channel } from "../../../core/link/Session.ts"
import { idleChannel } from "../../../core/operator/idleChannel.ts"

/** A channel whose other end is the test's. */
const stage = Effect.fnUntraced(function*(limit: string) {
  const incoming = yield* Queue.bounded<Uint8Array>(16)
  const sent: Array<Uint8Array> = []
  const failed: Array<string> = []
  const bare: Channel = {
    send: (message) => Effect.sync(() => void sent.push(message)),
    end: Effect.void,
    fail: (detail) => Effect.sync(() => void failed.push(detail)),
    messages: Stream.fromQueue(incoming)
  }
  const channel = yield* idleChannel(bare, limit as "4 hours")
  const reading = yield* Effect.forkChild(Effect.exit(Stream.runDrain(channel.messages)))
  yield* TestClock.adjust("1 milli")
  return { channel, failed, incoming, reading }
})

const word = Uint8Array.of(1)

describe("a channel with a limit to its silence", () => {
  it.effect("goes on for as long as either side says something", () =>
    Effect.gen(function*() {
      const { channel, failed, incoming, reading } = yield* stage("4 hours")
      for (let round = 0; round < 10; round++) {
        yield* TestClock.adjust("3 hours")
        yield* channel.send(word)
        yield* TestClock.adjust("3 hours")
        yield* Queue.offer(incoming, word)
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(failed, [])
      assert.isUndefined(reading.pollUnsafe())
    }).pipe(Effect.scoped))

  it.effect("ends at both ends once neither does, and says why", () =>
    Effect.gen(function*() {
      const { channel, failed, reading } = yield* stage("4 hours")
      yield* channel.send(word)
      yield* TestClock.adjust("239 minutes")
      assert.deepStrictEqual(failed, [])
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(failed, ["nothing went over it for 4h"])
      assert.match(String(yield* Fiber.join(reading)), /nothing went over it for 4h/u)
    }).pipe(Effect.scoped))

  it.effect("leaves nothing behind when it is closed before", () =>
    Effect.gen(function*() {
      const { failed } = yield* Effect.scoped(stage("1 minute"))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(failed, [])
    }))
})
