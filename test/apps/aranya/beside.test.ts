import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { beside } from "../../../apps/aranya/beside.ts"

const waiting = Layer.effectDiscard(Effect.never)

describe("beside", () => {
  it.effect("runs the program while the layer still waits", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* beside(Effect.succeed("done"), waiting), "done")
    }))

  it.effect("ends the program when the layer fails, with its failure", () =>
    Effect.gen(function*() {
      const failing = Layer.effectDiscard(Effect.delay(Effect.fail("refused"), "1 minute"))
      const fiber = yield* Effect.forkChild(Effect.flip(beside(Effect.never, failing)))
      yield* TestClock.adjust("59 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(fiber), "refused")
    }))

  it.effect("keeps what the layer made until the program has said farewell", () =>
    Effect.gen(function*() {
      const diary: Array<string> = []
      const note = (words: string) => Effect.sync(() => void diary.push(words))
      const door = Layer.effectDiscard(Effect.acquireRelease(note("open"), () => note("closed")))
      const program = Effect.never.pipe(
        Effect.onInterrupt(() => Effect.andThen(Effect.sleep("1 second"), note("farewell")))
      )
      const fiber = yield* Effect.forkChild(beside(program, door))
      yield* TestClock.adjust("1 second")
      yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(diary, ["open", "farewell", "closed"])
    }))
})
