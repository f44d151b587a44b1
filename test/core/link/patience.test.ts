/** What may wait for company while nothing can leave, and how long what was lost waits. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream, SubscriptionRef } from "effect"
import { vi } from "vitest"
import { defaultLimits } from "../../../core/link/LinkLimits.ts"
import { defaultTimings } from "../../../core/link/LinkTimings.ts"
import { Conversation } from "../../../core/link/session/Conversation.ts"
import { creditSegment } from "../../../core/link/session/LinkStream.ts"
import { noise } from "./noise.ts"
import { inWorld, string, text } from "./world.ts"

describe("what may wait for company", () => {
  it.live("keeps nobody busy while nothing can leave, and leaves as soon as it can", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* world.transport.weather({ blackHole: true }, "toDevice")
        // More than leaves on a new connection before anything is acknowledged.
        const messages = Array.from({ length: 5 }, (_, index) => noise(15_000, index + 1))
        const asked = yield* Effect.forkChild(
          Effect.forEach(messages, (message) => operator.request(message, { timeoutMillis: 600_000 }), {
            concurrency: "unbounded"
          })
        )
        yield* Effect.sleep("1 second")
        yield* world.transport.weather({ blackHole: false })
        const again = yield* SubscriptionRef.changes(operator.connected).pipe(
          Stream.dropWhile((connected) => connected),
          Stream.filter((connected) => connected),
          Stream.runHead,
          Effect.forkChild({ startImmediately: true })
        )
        yield* world.transport.cut()
        // Dead from when the session goes on: of what has to go again, only a part leaves.
        yield* Fiber.join(again)
        yield* world.transport.weather({ blackHole: true })
        const waiting = yield* Effect.forkChild(
          operator.request(text("x"), { timeoutMillis: 600_000, patienceMillis: 1_000 })
        )
        yield* Effect.sleep("2 seconds")
        const asking = vi.spyOn(Conversation.prototype, "next")
        yield* Effect.sleep("10 seconds")
        const times = asking.mock.calls.length
        asking.mockRestore()
        assert.isBelow(times, 50)
        yield* world.transport.weather({ blackHole: false })
        assert.strictEqual(string(yield* Fiber.join(waiting)), "x")
        assert.strictEqual(Buffer.compare(Buffer.concat(yield* Fiber.join(asked)), Buffer.concat(messages)), 0)
        assert.lengthOf(world.sessions.operator, 1)
      })))
})

describe("what is lost on a connection that came after an outage", () => {
  it("goes again as soon as on any other, though what left before the outage has arrived", () => {
    const conversation = new Conversation("operator", defaultTimings, defaultLimits)
    const plain = 4096
    const leave = () => {}
    const say = (now: number) =>
      conversation.quietly(() => {
        conversation.outbox.urgent(creditSegment(1, 1))
        return conversation.next(now, plain)?.sequence
      })
    conversation.attach(0, plain, 0, leave)
    assert.strictEqual(say(0), 1n)
    // Its acknowledgement was lost with the connection.
    conversation.attach(60_000, plain, 1, leave)
    assert.isUndefined(conversation.rate.roundTrip)
    assert.strictEqual(conversation.acknowledgedAt, 0, "when it left is known all the same")
    assert.strictEqual(say(60_000), 2n)
    const { resendFirstMillis } = defaultTimings
    assert.strictEqual(conversation.deadline(60_000), 60_000 + resendFirstMillis)
    assert.isUndefined(conversation.next(60_000 + resendFirstMillis - 1, plain))
    assert.strictEqual(conversation.next(60_000 + resendFirstMillis, plain)?.sequence, 2n)
  })
})
