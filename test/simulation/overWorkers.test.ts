import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { overWorkers } from "./overWorkers.ts"
import type { Report } from "./workers.ts"

const reports = (workers: number, count: number) =>
  Effect.gen(function*() {
    const heard: Array<Report> = []
    yield* overWorkers({ first: 11, count, workers, options: { size: "small" } }, (report) => heard.push(report))
    return heard
  })

describe("storms over worker processes", () => {
  it.live(
    "come in the order of seeds, each the same whoever had it and whatever came before",
    () =>
      Effect.gen(function*() {
        const alone = yield* reports(1, 3)
        assert.deepStrictEqual(alone.map(({ seed }) => seed), [11, 12, 13])
        assert.strictEqual(new Set(alone.map(({ hash }) => hash)).size, 3)
        const shared = yield* reports(2, 3)
        assert.deepStrictEqual(
          shared.map(({ hash, seed }) => ({ hash, seed })),
          alone.map(({ hash, seed }) => ({ hash, seed }))
        )
      }),
    120_000
  )

  it.live("that do not end in time are given up, and the others go on with a new worker", () =>
    Effect.gen(function*() {
      const heard: Array<Report> = []
      yield* overWorkers({ first: 1, count: 2, workers: 1, limit: "1 millis" }, (report) => heard.push(report))
      assert.deepStrictEqual(heard.map(({ seed }) => seed), [1, 2])
      for (const { failure } of heard) assert.include(failure, "in time")
    }))
})
