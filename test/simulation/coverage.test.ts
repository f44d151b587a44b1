import { assert, describe, it } from "@effect/vitest"
import { Coverage } from "./coverage.ts"
import { profileOf, profiles, promised } from "./profiles.ts"

const met = Object.fromEntries(promised("cloud").map((what) => [what, 1]))
const { "fault: operatorDies": _, ...missing } = met

describe("what storms have met", () => {
  it("names what a long run never met, by profile", () => {
    const coverage = new Coverage()
    for (let seed = 0; seed < 200; seed++) coverage.add({ profile: "cloud", counts: missing })
    assert.deepStrictEqual(coverage.summary().gaps, [
      "fault: operatorDies in profile cloud",
      "fault: operatorDies in any profile"
    ])
    coverage.add({ profile: "cloud", counts: met })
    assert.deepStrictEqual(coverage.summary().gaps, [])
  })

  it("asks nothing of a short run, and shows all that was promised in any", () => {
    const coverage = new Coverage()
    coverage.add({ profile: "cloud", counts: missing })
    const { gaps, lines } = coverage.summary()
    assert.deepStrictEqual(gaps, [])
    assert.include(lines.join("\n"), "operatorDies 0")
  })

  it("is about seventeen profiles, which take turns by seed", () => {
    const names = Object.keys(profiles)
    assert.lengthOf(names, 17)
    assert.sameMembers(names, names.map((_, seed) => profileOf(seed)))
  })
})
