/** Instants as Kubernetes writes them. */
import { assert, describe, it } from "@effect/vitest"
import { microTimestamp, parseTimestamp, timestamp } from "../../../core/kube/time.ts"

describe("instants", () => {
  it("are written as the calendar has them, leap days and turns of centuries included", () => {
    const day = 86_400_000
    for (const year of [1970, 1972, 1999, 2000, 2023, 2024, 2026, 2100, 2400, 9999]) {
      for (const [month, of] of [[0, 1], [0, 31], [1, 28], [1, 29], [2, 1], [11, 31]] as const) {
        for (const rest of [0, 1, 999, 43_200_000, day - 1]) {
          const millis = Date.UTC(year, month, of) + rest
          const whole = new Date(millis).toISOString()
          assert.strictEqual(microTimestamp(millis), `${whole.slice(0, 23)}000Z`)
          assert.strictEqual(timestamp(millis), `${whole.slice(0, 19)}Z`)
          assert.strictEqual(parseTimestamp(microTimestamp(millis)), millis)
        }
      }
    }
  })

  it("before 1970 and with parts of a millisecond are written, too", () => {
    assert.strictEqual(microTimestamp(-1), "1969-12-31T23:59:59.999000Z")
    assert.strictEqual(microTimestamp(1.7), "1970-01-01T00:00:00.001000Z")
  })
})
