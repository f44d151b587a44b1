import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Fiber, Queue, Random, Ref } from "effect"
import { hkdf, randomBytes } from "node:crypto"
import { readFile } from "node:fs"
import { deflate } from "node:zlib"
import { Trapped } from "./traps.ts"
import { Deadlock, simulate } from "./VirtualTime.ts"

/** Five fibers that sleep, hand each other numbers and write a diary. */
const bustle = Effect.gen(function*() {
  const diary = yield* Ref.make<ReadonlyArray<string>>([])
  const queue = yield* Queue.bounded<number>(2)
  const worker = Effect.fnUntraced(function*(name: number) {
    for (let i = 0; i < 20; i++) {
      yield* Effect.sleep(yield* Random.nextIntBetween(0, 5))
      yield* Queue.offer(queue, name)
      const got = yield* Queue.take(queue)
      const now = yield* Clock.currentTimeMillis
      yield* Ref.update(diary, (all) => [...all, `${now} ${name} got ${got}`])
    }
  })
  const fibers = yield* Effect.forEach([1, 2, 3, 4, 5], (name) => Effect.forkChild(worker(name)))
  yield* Effect.forEach(fibers, Fiber.join)
  return (yield* Ref.get(diary)).join("\n")
})

describe("virtual time", () => {
  it.live("passes a month in no time", () =>
    Effect.gen(function*() {
      const elapsed = yield* simulate(1, (time) =>
        Effect.gen(function*() {
          yield* Effect.sleep("29 days")
          return time.now - time.start
        }))
      assert.strictEqual(elapsed, 29 * 24 * 3_600_000)
    }))

  it.live("goes on however short the sleep is", () =>
    Effect.gen(function*() {
      const slept = yield* simulate(1, (time) =>
        Effect.gen(function*() {
          yield* Effect.sleep("14610 days")
          for (let i = 0; i < 100; i++) yield* Effect.sleep(0.00001)
          return time.now - time.start
        }), { limit: "15000 days" })
      assert.isAbove(slept, 14_610 * 86_400_000)
    }))

  it.live("gives the same story for the same seed, and another for another", () =>
    Effect.gen(function*() {
      const first = yield* simulate(7, () => bustle)
      assert.strictEqual(yield* simulate(7, () => bustle), first)
      assert.notStrictEqual(yield* simulate(8, () => bustle), first)
    }))

  it.live("says so when nothing can ever happen again", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(simulate(1, () => Effect.never))
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof Deadlock)
    }))

  const forbidden: Readonly<Record<string, () => unknown>> = {
    "Math.random": () => Math.random(),
    "Date.now": () => Date.now(),
    "new Date()": () => new Date(),
    "performance.now": () => performance.now(),
    "process.hrtime": () => process.hrtime.bigint(),
    Timeout: () => setTimeout(() => {}, 1),
    Immediate: () => setImmediate(() => {}),
    FSREQCALLBACK: () => readFile(import.meta.filename, () => {}),
    ZLIB: () => deflate("text", () => {}),
    RANDOMBYTESREQUEST: () => randomBytes(8, () => {}),
    DERIVEBITSREQUEST: () => hkdf("sha256", "key", "salt", "info", 8, () => {})
  }
  const ways: Readonly<Record<string, (act: () => unknown) => Effect.Effect<unknown>>> = {
    "": (act) => Effect.sync(act),
    " after a promise": (act) =>
      Effect.promise(async () => {
        await undefined
        act()
      })
  }
  for (
    const [name, act, way, by] of Object.entries(forbidden).flatMap(([name, act]) =>
      Object.entries(ways).map(([way, by]) => [name, act, way, by] as const)
    )
  ) {
    it.live(`fails a world that comes to ${name}${way}, with the stack that did`, () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(simulate(1, () => Effect.andThen(Effect.sleep(1), by(act))))
        const failure = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(failure, Trapped)
        assert.include((failure as Trapped).message, name)
        assert.include((failure as Trapped).stack, "VirtualTime.test.ts")
        // And the process is as it was.
        assert.isAbove(Date.now(), 0)
        assert.notInclude(String(Math.random), "spring")
      }))
  }

  it.live("lets a world make dates of what its own clock says", () =>
    simulate(1, () =>
      Effect.sync(() => {
        assert.strictEqual(new Date(0).toISOString(), "1970-01-01T00:00:00.000Z")
        assert.isTrue(new Date("2026-01-01") instanceof Date)
        assert.strictEqual(Date.UTC(1970, 0, 1), 0)
      })))

  it.live("ends a fiber that is interrupted before its first step", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        for (let i = 0; i < 3000; i++) yield* Fiber.interrupt(yield* Effect.forkChild(Effect.never))
      })))

  it.live("gives each host a clock that is off and drifts", () =>
    Effect.gen(function*() {
      const seen = yield* simulate(1, (time) =>
        Effect.gen(function*() {
          const before = yield* Clock.currentTimeMillis
          yield* Effect.sleep("100 seconds")
          return { wall: (yield* Clock.currentTimeMillis) - before, world: time.now - time.start }
        }).pipe(Effect.provideService(Clock.Clock, time.clock({ current: { offsetMillis: 5000, rate: 2 } }))))
      assert.deepStrictEqual(seen, { wall: 100_000, world: 50_000 })
    }))
})
