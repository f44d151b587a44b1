import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { Journal } from "../../core/agent/Journal.ts"
import { journalContract } from "../contracts/journal.ts"
import { MemoryJournal } from "./MemoryJournal.ts"

journalContract(
  "MemoryJournal",
  Effect.map(Layer.build(Layer.fresh(MemoryJournal.layer)), (context) => ({
    layer: Layer.succeed(Journal, Context.get(context, Journal))
  }))
)

describe("MemoryJournal", () => {
  const put = (
    key: string
  ) => [{ _tag: "Put" as const, table: "pods" as const, key, value: new Uint8Array(), secret: false }]

  it.effect("keeps nothing of a commit for which there is no space", () =>
    Effect.gen(function*() {
      const journal = yield* Journal
      const controls = yield* MemoryJournal
      yield* controls.fail("Full", 1)
      assert.strictEqual((yield* Effect.flip(journal.commit(put("a")))).reason, "Full")
      yield* journal.commit(put("b"))
      assert.deepStrictEqual((yield* journal.rows("pods")).map(({ key }) => key), ["b"])
      assert.deepStrictEqual(yield* controls.diary, ["put pods a (Full)", "put pods b"])
    }).pipe(Effect.provide(MemoryJournal.layer)))

  it.effect("goes back to what was synced when power fails", () =>
    Effect.gen(function*() {
      const journal = yield* Journal
      const controls = yield* MemoryJournal
      yield* journal.commit(put("a"))
      yield* controls.stopSyncing
      yield* journal.commit(put("b"))
      yield* controls.crash
      assert.deepStrictEqual((yield* journal.rows("pods")).map(({ key }) => key), ["a"])
    }).pipe(Effect.provide(MemoryJournal.layer)))
})
