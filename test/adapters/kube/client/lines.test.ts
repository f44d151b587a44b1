import { assert, it } from "@effect/vitest"
import { makeLines } from "../../../../adapters/kube/client/lines.ts"

it("the beginning of a line is kept without the chunk that it came in", () => {
  const lines = makeLines(100)
  const chunk = Buffer.from("one\ntwo")
  assert.deepStrictEqual(lines(chunk), ["one"])
  chunk.fill("x")
  assert.deepStrictEqual(lines(Buffer.from(" and three\n")), ["two and three"])
})
