import { assert, describe, it } from "@effect/vitest"
import { readArguments, Refusal } from "./arguments.ts"

describe("what the simulation is asked for", () => {
  it("is a hundred seeds unless told, and one when it is named", () => {
    assert.deepInclude(readArguments([]), { first: 1, count: 100, profiles: [], shrink: "once" })
    assert.deepInclude(readArguments(["--seed", "28"]), { first: 28, count: 1 })
    assert.deepInclude(readArguments(["--seed", "28", "--seeds", "3", "--no-shrink"]), { count: 3, shrink: "never" })
  })

  it("takes several profiles, or every seed its own", () => {
    assert.deepStrictEqual(readArguments(["--profile", "link", "--profile", "cloud,calm"]).profiles, [
      "link",
      "cloud",
      "calm"
    ])
    assert.deepStrictEqual(readArguments(["--profile", "all"]).profiles, [])
  })

  it("is refused when it makes no sense", () => {
    for (
      const args of [
        ["--profile", "nothing"],
        ["--size", "huge"],
        ["--seeds", "0"],
        ["--seeds", ""],
        ["--seed", "1.5"],
        ["--trace", "storm.pdf"],
        ["--shrink", "--no-shrink"],
        ["--mutation", "nothing"],
        ["--plan", "{}", "--seed", "1"],
        ["--no-such-thing"],
        ["word"]
      ]
    ) assert.throws(() => readArguments(args), Refusal)
  })
})
