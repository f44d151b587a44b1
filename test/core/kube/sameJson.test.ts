/** What it is for two statuses to say the same. */
import { assert, describe, it } from "@effect/vitest"
import { sameJson } from "../../../core/kube/sameJson.ts"

describe("sameJson", () => {
  it("looks at what is said, wherever it stands in an object", () => {
    assert.isTrue(sameJson({ a: [1, { b: "x" }], c: null }, { c: null, a: [1, { b: "x" }] }))
    assert.isTrue(sameJson({ a: 1, b: undefined }, { a: 1 }))
    assert.isTrue(sameJson({ a: 1 }, { a: 1, b: undefined }))
  })

  it.each([
    [{ a: 1 }, { a: 2 }],
    [{ a: 1 }, { a: 1, b: 2 }],
    [{ a: 1, b: 2 }, { a: 1 }],
    [{ a: 1 }, { b: 1 }],
    [[1, 2], [2, 1]],
    [[1], [1, 2]],
    [[], {}],
    [{}, []],
    [null, {}],
    [{ a: { b: [{ c: true }] } }, { a: { b: [{ c: false }] } }],
    ["1", 1]
  ])("sees the difference between %j and %j", (left, right) => {
    assert.isFalse(sameJson(left, right))
  })
})
