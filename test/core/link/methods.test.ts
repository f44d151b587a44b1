import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream, SubscriptionRef } from "effect"
import { noise } from "./noise.ts"
import { inWorld, string, text, type World } from "./world.ts"

const method = (world: World) =>
  Effect.map(
    SubscriptionRef.get(world.client.state),
    (state) => state.status === "Connected" ? state.method : state.status
  )

describe("several methods", () => {
  it.live("fall over to the next at once, and return to the best without losing the session", () =>
    inWorld({ backup: true }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        assert.strictEqual(yield* method(world), "memory")
        yield* world.transport.refuse("Refused")
        yield* world.transport.cut()
        yield* Effect.sleep("5 seconds")
        assert.strictEqual(yield* method(world), "backup")
        assert.strictEqual(string(yield* operator.request(text("x"))), "x")

        yield* Effect.sleep("25 minutes")
        assert.strictEqual(yield* method(world), "backup")
        yield* world.transport.refuse(undefined)
        const sent = Array.from({ length: 900 }, (_, index) => noise(500, index + 1))
        const streaming = yield* Effect.forkChild(Effect.scoped(Effect.gen(function*() {
          const channel = yield* operator.open(text("echo"))
          const sending = Effect.forEach(sent, (message) => Effect.andThen(Effect.sleep(1000), channel.send(message)))
          const [, got] = yield* Effect.all(
            [Effect.andThen(sending, channel.end), Stream.runCollect(channel.messages)],
            {
              concurrency: 2
            }
          )
          return got
        })))
        yield* Effect.sleep("11 minutes")
        assert.strictEqual(yield* method(world), "memory")
        assert.strictEqual(yield* world.backup.open, 0)
        const got = yield* Fiber.join(streaming)
        assert.strictEqual(Buffer.compare(Buffer.concat(got), Buffer.concat(sent)), 0)
        assert.strictEqual(world.admitted.length, 1)
        assert.strictEqual(world.sessions.operator.length, 1)
      })))

  it.live("are tried in their order, each once, before the device waits", () =>
    inWorld({ backup: true }, (world) =>
      Effect.gen(function*() {
        yield* world.session("operator")
        yield* world.transport.refuse("Refused")
        yield* world.backup.refuse("Rejected")
        yield* world.transport.cut()
        yield* Effect.sleep("90 minutes")
        const tries = (diary: ReadonlyArray<string>) => diary.filter((entry) => entry.endsWith("refused")).length
        assert.strictEqual(tries(yield* world.transport.diary), tries(yield* world.backup.diary))
        const state = yield* SubscriptionRef.get(world.client.state)
        // A credential that somebody must mend does not slow down the other method.
        assert.isAtLeast(tries(yield* world.transport.diary), 60)
        assert.match(state.status === "Waiting" ? state.error.message : "", /could not connect/)
      })))
})
