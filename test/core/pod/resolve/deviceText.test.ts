import { assert, describe, it } from "@effect/vitest"
import { expandReferences, knownText, lengthOf, literal } from "../../../../core/pod/resolve/deviceText.ts"

const expanded = (text: string) =>
  knownText(expandReferences(text, (name) => name === "WHO" ? literal("$(ME)") : undefined) ?? [{ field: "podIP" }])

describe("references in a text", () => {
  it.each([
    ["$(WHO)", "$(ME)"],
    ["a$(WHO)b$(NOBODY)c", "a$(ME)b$(NOBODY)c"],
    ["$$(WHO)", "$(WHO)"],
    ["$$$(WHO)", "$$(ME)"],
    ["$(WHO", "$(WHO"],
    ["$(NOBODY) $(", "$(NOBODY) $("],
    ["$() $$ $", "$() $ $"],
    [")$(", ")$("]
  ])("%s is %s", (text, becomes) => assert.strictEqual(expanded(text), becomes))

  it("make no text longer than anybody takes, however often they double", () => {
    const collected = new Map([["V0", literal("0123456789abcdef")]])
    const lookup = (name: string) => collected.get(name)
    let doublings = 0
    for (let text = expandReferences("$(V0)$(V0)", lookup); text !== undefined; doublings++) {
      assert.strictEqual(lengthOf(text), 32 * 2 ** doublings)
      collected.set("V0", text)
      text = expandReferences("$(V0)$(V0)", lookup)
    }
    assert.strictEqual(doublings, 13, "to 128 KiB")
  })

  it("that never end stay as they are, however many there are", () => {
    const text = "$(".repeat(2 ** 21)
    assert.isTrue(expanded(text) === text)
    assert.isTrue(expanded(`$(WHO)${text}`) === `$(ME)${text}`)
  })
})
