import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Stream, SubscriptionRef } from "effect"
import type { Session } from "../../../core/link/Session.ts"
import type { Weather } from "../../fakes/MemoryTransport.ts"
import { noise } from "./noise.ts"
import { failure, inWorld, string, text, type World, type WorldOptions } from "./world.ts"

/** Seconds until the session is not carried any more. */
const secondsUntilGivenUp = (session: Session) =>
  Effect.gen(function*() {
    const before = yield* Clock.currentTimeMillis
    yield* SubscriptionRef.changes(session.connected).pipe(Stream.filter((connected) => !connected), Stream.runHead)
    return ((yield* Clock.currentTimeMillis) - before) / 1000
  })

/** How long a side that has something under way takes to see that its connection is dead. */
const noticed = (
  side: "device" | "operator",
  bytes: number,
  options: WorldOptions = {},
  weather: Partial<Weather> = {}
) =>
  inWorld(options, (world) =>
    Effect.gen(function*() {
      const session = yield* world.session(side)
      yield* world.transport.weather(weather)
      for (let count = 0; count < 5; count++) yield* session.request(noise(bytes, count), { timeoutMillis: 600_000 })
      yield* Effect.sleep("20 minutes")
      yield* world.transport.refuse("Refused")
      yield* world.transport.weather({ blackHole: true })
      yield* Effect.sleep("1 minute")
      assert.isTrue(yield* SubscriptionRef.get(session.connected))
      yield* Effect.forkChild(failure(session.request(noise(bytes, 9), { timeoutMillis: 3_600_000 })))
      return yield* secondsUntilGivenUp(session)
    }))

/** Dials since the session began, after which everything arrived all the same. */
const dialsOn = (weather: Partial<Weather>, bytes: number, seed = 1) =>
  inWorld({}, (world: World) =>
    Effect.gen(function*() {
      const operator = yield* world.session("operator")
      yield* world.transport.weather(weather)
      const messages = Array.from({ length: Math.ceil(bytes / 8_000) }, (_, index) => noise(8_000, index + 1))
      const got = yield* Effect.scoped(Effect.gen(function*() {
        const channel = yield* operator.open(text("echo"), { priority: "bulk" })
        const sending = Effect.andThen(Effect.forEach(messages, channel.send, { discard: true }), channel.end)
        return (yield* Effect.all([sending, Stream.runCollect(channel.messages)], { concurrency: 2 }))[1]
      }))
      assert.strictEqual(Buffer.compare(Buffer.concat(got), Buffer.concat(messages)), 0)
      assert.lengthOf(world.sessions.operator, 1)
      return (yield* world.transport.diary).filter((entry) => entry.endsWith("dialed")).length
    }), seed)

describe("a connection that died in silence", () => {
  for (const side of ["device", "operator"] as const) {
    it.live(`is given up by the ${side} within half a minute once something was sent`, () =>
      Effect.gen(function*() {
        const small = yield* noticed(side, 100)
        assert.isAtLeast(small, 30)
        assert.isAtMost(small, 31)
        // Bulk may be slow rather than lost: as long as the slowest line would take for it.
        const bulk = yield* noticed(side, 200_000)
        assert.isAtMost(bulk, 64)
      }))

    it.live(`is given up by the ${side} later where the line is known to be slow`, () =>
      Effect.gen(function*() {
        const seconds = yield* noticed(side, 100, {}, { delayMillis: [9_000, 14_000] })
        assert.isAtLeast(seconds, 36)
        assert.isAtMost(seconds, 135)
      }))
  }

  it.live("is given up too where it takes nothing more, so that no resend can leave", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* world.transport.weather({ bytesPerSecond: 0.01 })
        yield* Effect.forkChild(Effect.exit(operator.request(text("x"), { timeoutMillis: 1_000_000 })))
        assert.isAtMost(yield* secondsUntilGivenUp(operator), 32)
      })))

  it.live("is found by a device that only receives, while a stream is open", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const device = yield* world.session("device")
        const operator = yield* world.session("operator")
        yield* Effect.forkChild(Effect.scoped(Effect.andThen(operator.open(text("echo")), Effect.never)))
        yield* Effect.sleep("10 minutes")
        assert.isTrue(yield* SubscriptionRef.get(device.connected))
        yield* world.transport.weather({ blackHole: true })
        assert.isAtMost(yield* secondsUntilGivenUp(device), 61)
      })))

  it.live("keeps no request waiting longer than that and the next dial", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const device = yield* world.session("device")
        yield* Effect.sleep("10 minutes")
        yield* world.transport.weather({ blackHole: true })
        const asked = yield* Effect.forkChild(device.request(text("x"), { timeoutMillis: 60_000 }))
        yield* Effect.sleep("20 seconds")
        yield* world.transport.weather({ blackHole: false }, "toOperator")
        yield* Effect.sleep("9 seconds")
        yield* world.transport.weather({ blackHole: false })
        assert.strictEqual(string(yield* Fiber.join(asked)), "x")
        assert.lengthOf(world.sessions.operator, 1)
      })))
})

describe("a connection that is merely bad", () => {
  it.live("is kept through stalls of twenty seconds, with data under way", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        for (let count = 0; count < 20; count++) {
          const asked = yield* Effect.forkChild(operator.request(noise(2_000, count), { timeoutMillis: 120_000 }))
          yield* world.transport.weather({ blackHole: true })
          yield* Effect.sleep("20 seconds")
          yield* world.transport.weather({ blackHole: false })
          yield* Fiber.join(asked)
        }
        assert.lengthOf((yield* world.transport.diary).filter((entry) => entry.endsWith("dialed")), 1)
      })))

  it.live("is kept on a line of 600 bytes a second, and almost always on one that loses every fifth frame", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* dialsOn({ bytesPerSecond: 600, delayMillis: [300, 900] }, 40_000), 1)
      let dials = 0
      for (let seed = 1; seed <= 6; seed++) {
        dials += yield* dialsOn({ loss: 0.2, delayMillis: [100, 2_000] }, 100_000, seed)
      }
      assert.isAtMost(dials, 8)
    }))

  it.live("gets everything across a line slower than is thought possible, though it is given up at times", () =>
    Effect.gen(function*() {
      const dials = yield* dialsOn({ bytesPerSecond: 150, delayMillis: [300, 900] }, 24_000)
      assert.isAtMost(dials, 12)
    }))
})
