import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Random, Stream } from "effect"
import { noise } from "./noise.ts"
import { inWorld, text, type World } from "./world.ts"

const seeds = Array.from({ length: 50 }, (_, seed) => seed + 1)

/** Weather that changes for a minute and a half, then fair again. */
const weather = (world: World) =>
  Effect.gen(function*() {
    for (let turn = 0; turn < 12; turn++) {
      yield* world.transport.weather({
        loss: (yield* Random.next) * 0.25,
        duplication: (yield* Random.next) * 0.3,
        reorder: (yield* Random.next) * 0.4,
        corruption: (yield* Random.next) * 0.1,
        truncation: (yield* Random.next) * 0.1,
        delayMillis: [1, yield* Random.nextIntBetween(1, 400)]
      })
      yield* Effect.sleep(yield* Random.nextIntBetween(500, 10_000))
      if ((yield* Random.next) < 0.4) yield* world.transport.cut()
    }
    yield* world.transport.weather({
      loss: 0,
      duplication: 0,
      reorder: 0,
      corruption: 0,
      truncation: 0,
      delayMillis: [1, 1]
    })
  })

describe("a session in a storm", () => {
  it.live.each(seeds)("seed %i delivers everything once and in order", (seed) => {
    const acted: Array<string> = []
    return inWorld({
      device: () =>
        Effect.succeed({
          onRequest: (message) =>
            Effect.sync(() => {
              acted.push(new TextDecoder().decode(message))
              return message
            }),
          onOpen: (_, channel) => Effect.andThen(Stream.runForEach(channel.messages, channel.send), channel.end)
        })
    }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        const storm = yield* Effect.forkChild(weather(world))
        const requests = yield* Effect.forkChild(Effect.forEach(
          Array.from({ length: 30 }, (_, index) => `request ${index}`),
          (message) =>
            Effect.gen(function*() {
              yield* Effect.sleep(yield* Random.nextIntBetween(0, 60_000))
              const reply = yield* operator.request(text(message), { timeoutMillis: 280_000 })
              assert.strictEqual(new TextDecoder().decode(reply), message)
            }),
          { concurrency: "unbounded" }
        ))
        const channels = yield* Effect.forkChild(Effect.forEach(
          ["interactive", "bulk", "bulk"] as const,
          (priority, number) =>
            Effect.scoped(Effect.gen(function*() {
              const sizes = yield* Effect.forEach(Array.from({ length: 40 }), () => Random.nextIntBetween(0, 9_000))
              const sent = sizes.map((size, index) => noise(size, number * 100 + index + 1))
              const channel = yield* operator.open(text("echo"), { priority })
              const sending = Effect.forEach(
                sent,
                (message) => Effect.andThen(Effect.sleep(1000), channel.send(message))
              )
              const [, got] = yield* Effect.all(
                [Effect.andThen(sending, channel.end), Stream.runCollect(channel.messages)],
                { concurrency: 2 }
              )
              assert.strictEqual(got.length, sent.length)
              assert.strictEqual(Buffer.compare(Buffer.concat(got), Buffer.concat(sent)), 0)
            })),
          { concurrency: "unbounded" }
        ))
        yield* Fiber.join(storm)
        yield* Fiber.join(requests)
        yield* Fiber.join(channels)
        assert.strictEqual(world.sessions.operator.length, 1, "the session was never lost")
        assert.strictEqual(new Set(acted).size, acted.length, "no request was acted on twice")
        assert.strictEqual(acted.length, 30)
      }), seed)
  })
})
