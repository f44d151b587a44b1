import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { matrix, matrixPath } from "./matrix.ts"
import { type Outcome, runScenario } from "./runScenario.ts"
import { scenarios } from "./scenarios.ts"
import { upstreamNames } from "./upstreamNames.ts"

const outcomes = new Map<string, Outcome>()

describe("the list of upstream tests", () => {
  const listed = Object.entries(upstreamNames).flatMap(([suite, names]) => names.map((name) => `${suite} ${name}`))

  it("has each of them as a scenario, once, and no other", () => {
    assert.deepStrictEqual(scenarios.map(({ name }) => name).toSorted(), listed.toSorted())
  })

  it("has all 110 of sig-node and the 85 of sig-storage that are about such volumes", () => {
    const of = (sig: string) => listed.filter((name) => name.startsWith(`[${sig}] `)).length
    assert.deepStrictEqual([of("sig-node"), of("sig-storage")], [110, 85])
  })
})

describe("the product", () => {
  for (const scenario of scenarios) {
    const { does, name } = scenario
    if ("skipped" in does) {
      it(name, ({ skip }) => {
        outcomes.set(name, { name, state: "skipped", reason: does.skipped })
        skip(does.skipped)
      })
    } else {
      it.live(name, () =>
        Effect.gen(function*() {
          const outcome = yield* runScenario(scenario)
          outcomes.set(name, outcome)
          assert.strictEqual(outcome.reason, "")
        }), 90_000)
    }
  }
})

describe("the support matrix", () => {
  it("says what the scenarios do", ({ skip }) => {
    if (outcomes.size < scenarios.length) skip("only some of the scenarios were run")
    const written = readFileSync(new URL(`../../${matrixPath}`, import.meta.url), "utf8")
    assert.strictEqual(written, matrix(scenarios, outcomes), "write it anew: npm run conformance -- --matrix")
  })
})
