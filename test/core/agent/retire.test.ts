import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Outbox } from "../../../core/agent/Outbox.ts"
import { makeRetirement } from "../../../core/agent/retire.ts"
import { PodRuntime } from "../../../core/pod/PodRuntime.ts"
import { MemoryFiles } from "../../fakes/MemoryFiles.ts"
import { MemoryJournal } from "../../fakes/MemoryJournal.ts"

/** Holds two pods, of which the first is never told to be gone, as where the journal has no space for it. */
const stuck = (forgetting: Effect.Effect<void> = Effect.void) => {
  const held = new Set(["u1", "u2"])
  const asked: Array<string> = []
  const runtime: Partial<PodRuntime["Service"]> = {
    held: Effect.sync(() => [...held].map((uid) => ({ uid, hash: "" }))),
    remove: (uid, grace) => {
      asked.push(`${uid} ${grace} s`)
      return uid === "u1" ? Effect.never : Effect.succeed(true)
    },
    forget: (uid) =>
      Effect.map(forgetting, () => {
        held.delete(uid)
      }),
    reports: Stream.never
  }
  const layer = Layer.succeed(PodRuntime, runtime as PodRuntime["Service"])
  return { asked, held, layer }
}

describe("retiring", () => {
  it.effect("ends every pod at once, and wipes however long one of them takes", () => {
    const { asked, held, layer } = stuck()
    return Effect.gen(function*() {
      const journal = yield* MemoryJournal
      const wiping = yield* Effect.forkChild((yield* makeRetirement).run)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(asked, ["u1 30 s", "u2 30 s"])
      assert.notInclude(yield* journal.diary, "wipe")
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(wiping)
      assert.strictEqual(held.size, 0)
      assert.include(yield* journal.diary, "wipe")
    }).pipe(
      Effect.provide(Outbox.layer),
      Effect.provide(Layer.mergeAll(layer, MemoryFiles.layer, MemoryJournal.layer))
    )
  })

  it.effect("leaves nothing of a report that is on its way, whenever it comes to be taken", () => {
    const { layer } = stuck()
    return Effect.gen(function*() {
      const outbox = yield* Outbox
      const journal = yield* MemoryJournal
      yield* outbox.put({
        uid: "u1",
        namespace: "edge",
        name: "web",
        number: 1,
        finished: true,
        status: { phase: "Failed" }
      })
      yield* TestClock.adjust("1 second")
      const report = yield* outbox.next
      yield* Effect.forkChild((yield* makeRetirement).run)
      yield* TestClock.adjust("2 minutes")
      yield* outbox.taken(report)
      assert.strictEqual(outbox.newest("u1"), 0)
      assert.notInclude((yield* journal.diary).join(), "put reports")
    }).pipe(
      Effect.provide(Outbox.layer),
      Effect.provide(Layer.mergeAll(layer, MemoryFiles.layer, MemoryJournal.layer))
    )
  })

  it.effect("is done only once the journal is wiped, which is tried until the disk takes it", () => {
    const { layer } = stuck()
    return Effect.gen(function*() {
      const journal = yield* MemoryJournal
      yield* journal.fail("Broken")
      const wiping = yield* Effect.forkChild((yield* makeRetirement).run)
      yield* TestClock.adjust("10 minutes")
      assert.isUndefined(wiping.pollUnsafe())
      yield* journal.heal
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(wiping)
      assert.include(yield* journal.diary, "wipe")
    }).pipe(
      Effect.provide(Outbox.layer),
      Effect.provide(Layer.mergeAll(layer, MemoryFiles.layer, MemoryJournal.layer))
    )
  })

  it.effect("that is interrupted between a pod and its report leaves no report", () => {
    const { held, layer } = stuck(Effect.never)
    return Effect.gen(function*() {
      const outbox = yield* Outbox
      yield* outbox.put({ uid: "u1", namespace: "edge", name: "web", number: 1, finished: true, status: {} })
      const wiping = yield* Effect.forkChild((yield* makeRetirement).run)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(outbox.newest("u1"), 1)
      held.delete("u1")
      yield* Fiber.interrupt(wiping)
      assert.strictEqual(outbox.newest("u1"), 0)
    }).pipe(
      Effect.provide(Outbox.layer),
      Effect.provide(Layer.mergeAll(layer, MemoryFiles.layer, MemoryJournal.layer))
    )
  })

  it.effect("removes what pods left on the disk also while that is too full to forget them", () => {
    const { layer } = stuck(Effect.never)
    return Effect.gen(function*() {
      const files = yield* MemoryFiles
      yield* files.put("u1", "big", "what fills the disk")
      yield* Effect.forkChild((yield* makeRetirement).run)
      yield* TestClock.adjust("2 minutes")
      assert.isUndefined(yield* files.text("u1", "big"))
    }).pipe(
      Effect.provide(Outbox.layer),
      Effect.provide(Layer.mergeAll(layer, MemoryFiles.layer, MemoryJournal.layer))
    )
  })

  it.effect("gives up what is on its way, before it looks at what there is to end, and lets nothing begin meanwhile", () => {
    const { asked, held, layer } = stuck()
    return Effect.gen(function*() {
      const { run, unlessRetiring } = yield* makeRetirement
      // In the middle of its row in the journal it is not given up.
      const comes = Effect.uninterruptible(Effect.andThen(Effect.sleep("1 second"), Effect.sync(() => held.add("u3"))))
      const coming = yield* Effect.forkChild(unlessRetiring(Effect.as(comes, "held"), "given up"))
      const waiting = yield* Effect.forkChild(unlessRetiring(Effect.never, "given up"))
      yield* TestClock.adjust("500 millis")
      const wiping = yield* Effect.forkChild(run)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(asked, ["u1 30 s", "u2 30 s", "u3 30 s"])
      yield* Fiber.join(coming)
      assert.strictEqual(yield* Fiber.join(waiting), "given up")
      assert.strictEqual(yield* unlessRetiring(Effect.succeed("held"), "refused"), "refused")
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(wiping)
      assert.strictEqual(yield* unlessRetiring(Effect.succeed("held"), "refused"), "held")
    }).pipe(
      Effect.provide(Outbox.layer),
      Effect.provide(Layer.mergeAll(layer, MemoryFiles.layer, MemoryJournal.layer))
    )
  })
})
