import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { backOff, backOffCap } from "../../../core/link/backOff.ts"
import { defaultTimings } from "../../../core/link/LinkTimings.ts"

const caps = (factor: number, counts: ReadonlyArray<number>) =>
  counts.map((count) =>
    backOffCap({ ...defaultTimings, backoffFactor: factor }, { count, awayMillis: 0, hopeless: false })
  )

describe("the back-off of a device", () => {
  it("grows by its factor up to its limit, however often it fails", () => {
    assert.deepStrictEqual(caps(2, [1, 2, 3, 6, 7, 10_000]), [1_000, 2_000, 4_000, 30_000, 30_000, 30_000])
    assert.deepStrictEqual(caps(3, [1, 2, 3, 4, 5]), [1_000, 3_000, 9_000, 27_000, 30_000])
    assert.deepStrictEqual(caps(1, [1, 2, 10_000]), [1_000, 1_000, 1_000])
  })

  it("is patient after ten minutes, and where only a person can help", () => {
    const away = { count: 40, awayMillis: 600_000, hopeless: false }
    assert.strictEqual(backOffCap(defaultTimings, away), 300_000)
    assert.strictEqual(backOffCap(defaultTimings, { count: 1, awayMillis: 0, hopeless: true }), 300_000)
  })

  it.effect("takes any time from nothing to the limit, and never less than half where only a person can help", () =>
    Effect.gen(function*() {
      const failures = { count: 3, awayMillis: 0, hopeless: false }
      const waits = yield* Effect.all(Array.from({ length: 500 }, () => backOff(defaultTimings, failures)))
      assert.isTrue(waits.every((wait) => wait >= 0 && wait <= 4_000))
      assert.isTrue(waits.some((wait) => wait < 400) && waits.some((wait) => wait > 3_600))
      const hopeless = yield* Effect.all(
        Array.from({ length: 100 }, () => backOff(defaultTimings, { ...failures, hopeless: true }))
      )
      assert.isTrue(hopeless.every((wait) => wait >= 150_000 && wait <= 300_000))
    }))
})
