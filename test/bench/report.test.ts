import { assert, describe, it } from "@effect/vitest"
import { type Figure, keeps, median } from "./Figure.ts"
import { figures } from "./figures.ts"
import { json, table } from "./report.ts"

const figure = (name: string, budget: string): Figure => ({
  name,
  meaning: "what it is",
  unit: "ms",
  budget,
  best: "somebody 5",
  measuredBy: { reason: "nobody looked" }
})

describe("the report of a bench", () => {
  it("says which budgets are kept and which are missed", () => {
    assert.isTrue(keeps(12, "<= 12"))
    assert.isFalse(keeps(12.1, "<= 12"))
    assert.isTrue(keeps(100, ">= 100"))
    assert.isFalse(keeps(99, ">= 100"))
    const shown = table(
      [figure("quick", "<= 12"), figure("slow", "<= 12")],
      new Map([
        ["quick", { name: "quick", value: 3, note: "three rounds" }],
        ["slow", { name: "slow", value: 30, note: "three rounds" }]
      ])
    )
    assert.match(shown, /^quick +3\.00 +ms +<= 12 +kept +somebody 5$/m)
    assert.match(shown, /^slow +30\.0 +ms +<= 12 +MISSED +somebody 5$/m)
  })

  it("gives a reason where there is no value", () => {
    const outcomes = new Map([["absent", { name: "absent", reason: "no docker here" }]])
    assert.deepStrictEqual(JSON.parse(json([figure("absent", "<= 1"), figure("other", "<= 1")], outcomes)), {
      absent: { value: null, unit: "ms", budget: "<= 1", best: "somebody 5", reason: "no docker here" },
      other: { value: null, unit: "ms", budget: "<= 1", best: "somebody 5", reason: "not asked for" }
    })
  })

  it("names each figure once, with a budget it can judge", () => {
    const names = figures.map(({ name }) => name)
    assert.strictEqual(new Set(names).size, names.length)
    for (const { budget, name } of figures) assert.match(budget, /^((<=|>=) [\d.]+|none)$/, name)
  })

  it("takes the middle", () => {
    assert.strictEqual(median([3, 1, 2]), 2)
    assert.strictEqual(median([4, 1, 2, 3]), 2.5)
  })
})
