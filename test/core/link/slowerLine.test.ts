/** Sessions that filled a fast line and go on over a slow one: segments keep their size, and go before everything else. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { noise } from "./noise.ts"
import { inWorld, string, text, type World } from "./world.ts"

/** The device sends as much as the line takes, until it breaks; from then on it carries so many bytes a second. */
const fillThenSlow = (world: World, bytesPerSecond: number) =>
  Effect.gen(function*() {
    const device = yield* world.session("device")
    yield* world.transport.weather({ delayMillis: [5, 5], bytesPerSecond: 20_000_000 })
    const streaming = yield* Effect.forkChild(Effect.exit(Effect.scoped(Effect.gen(function*() {
      const channel = yield* device.open(text("echo"), { priority: "bulk" })
      yield* Effect.forkChild(Effect.exit(Effect.forever(channel.send(noise(60_000)))))
      yield* Stream.runDrain(channel.messages)
    }))))
    yield* Effect.sleep("1 second")
    yield* world.transport.weather({ delayMillis: [50, 50], bytesPerSecond })
    yield* world.transport.cut()
    yield* Fiber.interrupt(streaming)
  })

describe("a session that filled a fast line", () => {
  it.live("goes on over one on which what must go again takes longer than a handshake may", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        yield* fillThenSlow(world, 2_000)
        const operator = yield* world.session("operator")
        assert.strictEqual(string(yield* operator.request(text("x"), { timeoutMillis: 600_000 })), "x")
        assert.lengthOf(world.sessions.operator, 1)
        const diary = yield* world.transport.diary
        assert.lengthOf(diary.filter((entry) => entry.includes("hung up")), 0)
      })))
})
