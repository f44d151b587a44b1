/** Sessions that filled a fast line and go on over a slow one: segments keep their size, and go before everything else. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream, SubscriptionRef } from "effect"
import type { Channel } from "../../../core/link/Session.ts"
import { noise } from "./noise.ts"
import { echo, inWorld, string, text, type World } from "./world.ts"

/** Takes what comes, and sends nothing. */
const takes = () =>
  Effect.succeed({ ...echo, onOpen: (_: Uint8Array, { messages }: Channel) => Stream.runDrain(messages) })

/** One side sends as much as the line takes, until it breaks; from then on it carries so many bytes a second. */
const fillThenSlow = (world: World, from: "device" | "operator", bytesPerSecond: number) =>
  Effect.gen(function*() {
    const session = yield* world.session(from)
    yield* world.transport.weather({ delayMillis: [5, 5], bytesPerSecond: 20_000_000 })
    const streaming = yield* Effect.forkChild(Effect.exit(Effect.scoped(
      Effect.flatMap(session.open(text("bulk"), { priority: "bulk" }), (channel) =>
        Effect.forever(channel.send(noise(60_000))))
    )))
    yield* Effect.sleep("1 second")
    yield* world.transport.weather({ delayMillis: [50, 50], bytesPerSecond })
    yield* world.transport.cut()
    yield* Fiber.interrupt(streaming)
  })

describe("a session that filled a fast line", () => {
  it.live("goes on over one on which what must go again takes longer than a handshake may", () =>
    inWorld({ operator: takes, device: takes }, (world) =>
      Effect.gen(function*() {
        yield* fillThenSlow(world, "device", 2_000)
        const operator = yield* world.session("operator")
        assert.strictEqual(string(yield* operator.request(text("x"), { timeoutMillis: 3_600_000 })), "x")
        assert.lengthOf(world.sessions.operator, 1)
        const diary = yield* world.transport.diary
        assert.lengthOf(diary.filter((entry) => entry.includes("hung up")), 0)
      })))

  it.live.each(["device", "operator"] as const)(
    "ends where what the %s sent never gets across, and the next begins with less",
    (from) =>
      inWorld({ operator: takes, device: takes }, (world) =>
        Effect.gen(function*() {
          yield* fillThenSlow(world, from, 250)
          yield* Effect.sleep("20 minutes")
          const { closed } = yield* world.session(from)
          assert.match(yield* Effect.timeout(closed, 1), /does not get across this line/)
          const next = yield* world.session("operator", 2)
          assert.strictEqual(string(yield* next.request(text("x"))), "x")
          yield* Effect.sleep("1 hour")
          assert.lengthOf(world.sessions.operator, 2)
        }))
  )

  it.live("goes on where a line only breaks and falls silent again and again", () =>
    inWorld({ operator: takes, device: takes }, (world) =>
      Effect.gen(function*() {
        yield* fillThenSlow(world, "device", 20_000)
        const operator = yield* world.session("operator")
        for (let times = 0; times < 12; times++) {
          yield* SubscriptionRef.changes(operator.connected).pipe(Stream.filter((up) => up), Stream.runHead)
          // Too short for what was under way; then the end, or silence for once.
          yield* Effect.sleep("2 seconds")
          if (times % 5 === 4) {
            yield* world.transport.weather({ blackHole: true })
            yield* Effect.sleep("4 minutes")
            yield* world.transport.weather({ blackHole: false })
          }
          yield* world.transport.cut()
          yield* Effect.sleep(1)
        }
        assert.strictEqual(string(yield* operator.request(text("x"), { timeoutMillis: 600_000 })), "x")
        assert.lengthOf(world.sessions.operator, 1)
      })))
})
