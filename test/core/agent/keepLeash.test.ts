import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, SubscriptionRef } from "effect"
import { TestClock } from "effect/testing"
import { Journal } from "../../../core/agent/Journal.ts"
import { keepLeash } from "../../../core/agent/keepLeash.ts"
import type { LinkClient, LinkState } from "../../../core/link/LinkClient.ts"
import { monotonicMillis } from "../../../core/pod/machine/Workbench.ts"
import { PodRuntime } from "../../../core/pod/PodRuntime.ts"
import { MemoryHost } from "../../fakes/MemoryHost.ts"
import { MemoryJournal } from "../../fakes/MemoryJournal.ts"

const minutes = (count: number) => count * 60_000

/** A device on a leash of ten minutes, and when the newest word left it that its operator has acknowledged. */
const onLeash = Effect.gen(function*() {
  let acknowledged = yield* monotonicMillis
  let rests = false
  const runtime: Partial<PodRuntime["Service"]> = {
    rest: (wanted) =>
      Effect.sync(() => {
        rests = wanted
      })
  }
  const asked: Array<number> = []
  const link: Partial<LinkClient> = {
    acknowledgedAt: () => acknowledged,
    askWithin: (millis) => void asked.push(millis),
    state: yield* SubscriptionRef.make<LinkState>({ status: "Dialing", method: "grpc" })
  }
  const leash = yield* keepLeash.pipe(Effect.provide(Layer.succeed(PodRuntime, runtime as PodRuntime["Service"])))
  yield* Effect.forkScoped(leash.run(link as LinkClient))
  yield* TestClock.adjust("1 second")
  const atFirst = leash.capabilities()
  yield* leash.allow(minutes(10))
  yield* TestClock.adjust("1 second")
  return {
    leash,
    atFirst,
    rests: () => rests,
    /** How old the operator's word may be before it is asked for another, as often as that was said. */
    asked,
    hears: Effect.map(monotonicMillis, (now) => {
      acknowledged = now
    })
  }
})

describe("a leash", () => {
  it.effect("does not take for an answer to its last word what comes before that is acknowledged", () =>
    Effect.gen(function*() {
      const { hears, leash, rests } = yield* onLeash
      yield* hears
      yield* TestClock.adjust("11 minutes")
      assert.isTrue(rests())
      // It may have lain in a line that stood still, and what was replaced since then it does not say.
      const { message } = yield* Effect.flip(leash.allow(minutes(10)))
      assert.match(message, /older than/u)
      assert.isTrue(rests())
      yield* hears
      yield* TestClock.adjust("5 minutes")
      assert.isTrue(rests(), "the operator, which was told so, says it again")
      yield* leash.allow(minutes(10))
      assert.isFalse(rests())
    }).pipe(Effect.scoped, Effect.provide(Layer.mergeAll(MemoryHost.layer, MemoryJournal.layer))))

  it.effect("stays over a wipe, and one that is there is not written once more", () =>
    Effect.gen(function*() {
      const { leash } = yield* onLeash
      const journal = yield* MemoryJournal
      assert.isTrue(yield* journal.has("link", "leash"))
      const writes = (yield* journal.diary).length
      yield* leash.allow(minutes(10))
      assert.lengthOf(yield* journal.diary, writes)
      yield* (yield* Journal).wipe
      assert.isTrue(yield* journal.has("link", "leash"))
    }).pipe(Effect.scoped, Effect.provide(Layer.mergeAll(MemoryHost.layer, MemoryJournal.layer))))

  it.effect("that cannot be read is told to the operator, which is not asked for a word all the time for it", () =>
    Effect.gen(function*() {
      const value = new Uint8Array(8).fill(0xff)
      yield* (yield* Journal).commit([{ _tag: "Put", table: "link", key: "leash", value, secret: false }])
      const { asked, atFirst, leash, rests } = yield* onLeash
      assert.deepStrictEqual(atFirst, ["leash=0"])
      assert.deepStrictEqual(new Set(asked), new Set([Infinity, minutes(10) / 4]))
      assert.deepStrictEqual(leash.capabilities(), [`leash=${minutes(10)}`])
      assert.isFalse(rests())
    }).pipe(Effect.scoped, Effect.provide(Layer.mergeAll(MemoryHost.layer, MemoryJournal.layer))))
})
