import { assert, describe, it } from "@effect/vitest"
import { expandReferences, knownText, literal } from "../../../../core/pod/resolve/deviceText.ts"

const expanded = (text: string) =>
  knownText(expandReferences(text, (name) => name === "WHO" ? literal("$(ME)") : undefined))

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

  it("that never end stay as they are, however many there are", () => {
    const text = "$(".repeat(2 ** 21)
    assert.isTrue(expanded(text) === text)
    assert.isTrue(expanded(`$(WHO)${text}`) === `$(ME)${text}`)
  })
})
