import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { overBounds } from "./bounds.ts"
import { makeCounts } from "./coverage.ts"
import { simulate } from "./VirtualTime.ts"
import { makeDevice, makeOperator, worldLayer } from "./World.ts"

describe("what may never grow without end", () => {
  it.live("is told with the device, what it has and what it may have", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        const device = yield* makeDevice("edge-1", 1)
        const { count, counts } = makeCounts()
        assert.deepStrictEqual(yield* overBounds([device], [], 5, count), [])
        assert.deepStrictEqual(counts, {}, "an empty device puts nothing to the test")
        const rows = (many: number, bytes: number) =>
          Array.from({ length: many }, (_, i) => ({ key: String(i), value: new Uint8Array(bytes) }))
        yield* device.putRows("events", rows(257, 1))
        yield* device.putRows("pods", rows(1, 90_000))
        assert.deepStrictEqual(yield* overBounds([device], [], 5, count), [
          "edge-1 keeps 257 events, over 256",
          "the journal of edge-1 has 90000 bytes for 1 pods, over 81920"
        ])
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("counts the fibers of a program, of which none may end by a defect or outlive it", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        const device = yield* makeDevice("edge-1", 1)
        const deaths: Array<string> = []
        const operator = yield* makeOperator(
          [device],
          (why) => Effect.sync(() => void deaths.push(why)),
          Effect.gen(function*() {
            for (let i = 0; i < 300; i++) yield* Effect.forkScoped(Effect.never)
            yield* Effect.forkDetach(Effect.never)
            yield* Effect.forkScoped(Effect.die(new Error("a mistake")))
          }).pipe(Effect.andThen(Effect.never), Effect.scoped)
        )
        yield* operator.start
        yield* Effect.sleep("1 second")
        const { count, counts } = makeCounts()
        const [defect = "", found = ""] = yield* overBounds([device], [operator], 1, count)
        assert.match(defect, /^a fiber of operator 1 ended by a defect: Error: a mistake/u)
        assert.match(found, /^operator 1 has 3\d\d fibers, over 130$/u)
        assert.strictEqual(counts["rule: fibers are bounded"], 1)
        yield* operator.kill
        yield* Effect.sleep("11 seconds")
        assert.deepStrictEqual(deaths, ["it was killed, and 1 of its fibers live on"])
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))
})
