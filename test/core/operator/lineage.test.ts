import { assert, describe, it } from "@effect/vitest"
import { continueLineage } from "../../../core/operator/lineage.ts"

const now = { issued: "next", holder: "me", publicKey: "key", readmit: false }
const link = {
  holder: "me",
  epoch: 4,
  publicKey: "key",
  lineageHash: "newest",
  previousLineageHash: "before",
  journalId: "j1"
}
const hello = { epoch: 4, journalId: "j1" }

const verdict = (shown: string, over: Partial<typeof link> = {}, options: Partial<typeof now> = {}, said = hello) =>
  continueLineage({ ...link, ...over }, said, { ...now, ...options, shown })

const linkOf = (decided: ReturnType<typeof verdict>) => decided._tag === "Continue" ? decided.link : undefined

describe("the lineage of a device", () => {
  it("begins with the first device that proves its key", () => {
    const first = continueLineage({}, { epoch: 0, journalId: "j1" }, { ...now, shown: "" })
    assert.deepStrictEqual(linkOf(first), {
      holder: "me",
      epoch: 1,
      publicKey: "key",
      lineageHash: "next",
      journalId: "j1"
    })
  })

  it("goes on with the newest token, which stays valid until the next one is used", () => {
    assert.deepInclude(linkOf(verdict("newest")), { lineageHash: "next", previousLineageHash: "newest" })
  })

  it("goes on with the token before, where the newest never reached the device's disk", () => {
    assert.deepInclude(linkOf(verdict("before")), { lineageHash: "next", previousLineageHash: "before" })
  })

  it("goes on with any token that was issued since the device showed one, until it shows it", () => {
    // Slow operator: it answers an old hello after another operator has let the device in.
    const late = linkOf(verdict("before", { holder: "other" }))!
    assert.deepInclude(late, { lineageHash: "next", previousLineageHash: "before", issuedLineageHashes: ["newest"] })
    const held = linkOf(continueLineage(late, hello, { ...now, issued: "third", shown: "newest" }))!
    assert.deepInclude(held, { lineageHash: "third", previousLineageHash: "newest" })
    assert.notProperty(held, "issuedLineageHashes")
    assert.strictEqual(continueLineage(held, hello, { ...now, shown: "before" })._tag, "Duplicate")
    const unanswered = Array.from({ length: 20 }).reduce<typeof late>(
      (link, _, i) => linkOf(continueLineage(link, hello, { ...now, issued: `token-${i}`, shown: "before" }))!,
      late
    )
    assert.lengthOf(unanswered.issuedLineageHashes ?? [], 8)
  })

  it("refuses anything older, and a device that shows nothing: they are copies", () => {
    assert.strictEqual(verdict("ancient")._tag, "Duplicate")
    assert.strictEqual(verdict("")._tag, "Duplicate")
  })

  it("lets the first device try again when its first token never arrived", () => {
    const { previousLineageHash: _, ...once } = link
    assert.strictEqual(continueLineage(once, hello, { ...now, shown: "" })._tag, "Continue")
    assert.strictEqual(continueLineage(once, { ...hello, journalId: "j2" }, { ...now, shown: "" })._tag, "Duplicate")
  })

  it("lets a restored device in when its owner says so, and again where the answer is lost", () => {
    const readmitted = linkOf(verdict("ancient", {}, { readmit: true }))!
    assert.strictEqual(readmitted.lineageHash, "next")
    assert.strictEqual(continueLineage(readmitted, hello, { ...now, shown: "ancient" })._tag, "Continue")
    assert.strictEqual(continueLineage(readmitted, hello, { ...now, shown: "newest" })._tag, "Duplicate")
  })

  it("takes a device from an earlier EdgeDevice with the token it has from there, and again where the answer is lost", () => {
    const first = linkOf(continueLineage({}, hello, { ...now, shown: "earlier" }))!
    assert.deepInclude(first, { lineageHash: "next", previousLineageHash: "earlier" })
    const again = linkOf(continueLineage(first, hello, { ...now, issued: "second", shown: "earlier" }))!
    assert.deepInclude(again, { lineageHash: "second", issuedLineageHashes: ["next"] })
    assert.strictEqual(continueLineage(again, hello, { ...now, shown: "next" })._tag, "Continue")
  })

  it("keeps its epoch with the same holder, grows with another, and passes whatever the device has seen", () => {
    assert.strictEqual(linkOf(verdict("newest"))?.epoch, 4)
    assert.strictEqual(linkOf(verdict("newest", { holder: "other" }))?.epoch, 5)
    assert.strictEqual(linkOf(verdict("newest", {}, {}, { ...hello, epoch: 9 }))?.epoch, 10)
  })
})
