import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { mutated } from "./mutate.ts"
import { mutations } from "./mutations.ts"

describe("a mistake made on purpose", () => {
  for (const mutation of mutations) {
    it(`${mutation.name}: ${mutation.mistake}, can be made`, () => {
      const source = readFileSync(new URL(`../../../${mutation.file}`, import.meta.url), "utf8")
      assert.notStrictEqual(mutated(mutation, source), source)
    })
  }

  it("has a name of its own, and there are many", () => {
    assert.strictEqual(new Set(mutations.map(({ name }) => name)).size, mutations.length)
    assert.isAtLeast(mutations.length, 15)
  })
})
