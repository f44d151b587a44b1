import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { ContainerRuntime, LogChunk } from "../../../../core/pod/ContainerRuntime.ts"
import { sparingFollowers } from "../../../../core/pod/machine/sparingFollowers.ts"

/** A runtime whose logs end when the test says so, and the times at which containers were removed. */
const makeRuntime = Effect.gen(function*() {
  const end = yield* Deferred.make<void>()
  const removed: Array<number> = []
  const bare = {
    logs: () => Stream.drain(Stream.fromEffect(Deferred.await(end))) as Stream.Stream<LogChunk>,
    remove: () => Effect.map(Clock.currentTimeMillis, (now) => void removed.push(now))
  }
  return { end, removed, runtime: sparingFollowers(bare as unknown as ContainerRuntime["Service"]) }
})

describe("the removal of a container", () => {
  it.effect("waits until who follows its log has read it to the end", () =>
    Effect.gen(function*() {
      const { end, removed, runtime } = yield* makeRuntime
      yield* Effect.forkChild(Stream.runDrain(runtime.logs("one", { follow: true })), { startImmediately: true })
      const removing = yield* Effect.forkChild(runtime.remove("one"), { startImmediately: true })
      yield* TestClock.adjust("300 millis")
      assert.deepStrictEqual(removed, [])
      yield* Deferred.succeed(end, undefined)
      yield* TestClock.adjust("50 millis")
      yield* Fiber.join(removing)
      assert.deepStrictEqual(removed, [350])
    }))

  it.effect("waits for nobody longer than two seconds, and not for readers of another", () =>
    Effect.gen(function*() {
      const { removed, runtime } = yield* makeRuntime
      yield* Effect.forkChild(Stream.runDrain(runtime.logs("one", { follow: true })), { startImmediately: true })
      yield* Effect.forkChild(Stream.runDrain(runtime.logs("two", { follow: false })), { startImmediately: true })
      yield* runtime.remove("two")
      assert.deepStrictEqual(removed, [0])
      const removing = yield* Effect.forkChild(runtime.remove("one"), { startImmediately: true })
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(removing)
      assert.deepStrictEqual(removed, [0, 2000])
    }))
})
