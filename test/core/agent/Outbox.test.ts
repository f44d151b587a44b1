import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Journal } from "../../../core/agent/Journal.ts"
import { Outbox } from "../../../core/agent/Outbox.ts"
import type { PodReport } from "../../../core/pod/PodReport.ts"
import { MemoryJournal } from "../../fakes/MemoryJournal.ts"

const report = (number: number, phase: "Pending" | "Running", state: object): PodReport => ({
  uid: "u-1",
  namespace: "edge",
  name: "web",
  number,
  finished: false,
  status: {
    phase,
    containerStatuses: [{ name: "web", image: "a", imageID: "", ready: false, restartCount: 0, state }]
  }
})
const creating = { waiting: { reason: "ContainerCreating" } }
const layer = Outbox.layer.pipe(Layer.provide(MemoryJournal.layer))

const numbers = Effect.gen(function*() {
  const outbox = yield* Outbox
  const told: Array<number> = []
  yield* outbox.next.pipe(
    Effect.tap((each) => Effect.andThen(Effect.sync(() => told.push(each.number)), outbox.taken(each))),
    Effect.forever,
    Effect.forkScoped
  )
  return { outbox, told }
})

describe("the outbox", () => {
  it.effect("tells a start that goes well in one report", () =>
    Effect.gen(function*() {
      const { outbox, told } = yield* numbers
      yield* outbox.put(report(1, "Pending", creating))
      yield* TestClock.adjust("300 millis")
      yield* outbox.put(report(2, "Pending", creating))
      yield* TestClock.adjust("300 millis")
      assert.deepStrictEqual(told, [])
      yield* outbox.put(report(3, "Running", { running: {} }))
      yield* TestClock.adjust("10 millis")
      yield* outbox.put(report(4, "Running", { running: {} }))
      yield* TestClock.adjust("15 millis")
      assert.deepStrictEqual(told, [4])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(told, [4])
    }).pipe(Effect.provide(layer)))

  it.effect("tells of one that takes longer after a second, however often it changes", () =>
    Effect.gen(function*() {
      const { outbox, told } = yield* numbers
      for (let number = 1; number <= 4; number++) {
        yield* outbox.put(report(number, "Pending", creating))
        yield* TestClock.adjust("300 millis")
      }
      assert.deepStrictEqual(told, [4])
    }).pipe(Effect.provide(layer)))

  it.effect("tells of trouble at once", () =>
    Effect.gen(function*() {
      const { outbox, told } = yield* numbers
      yield* outbox.put(report(1, "Pending", { waiting: { reason: "ErrImagePull", message: "no such image" } }))
      yield* TestClock.adjust("25 millis")
      assert.deepStrictEqual(told, [1])
    }).pipe(Effect.provide(layer)))

  it.effect("does not bring back what was forgotten meanwhile", () =>
    Effect.gen(function*() {
      const { outbox } = yield* numbers
      yield* outbox.put(report(1, "Pending", creating))
      yield* outbox.forget("u-1")
      const next = yield* Effect.forkChild(outbox.next)
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(next.pollUnsafe())
      yield* Fiber.interrupt(next)
    }).pipe(Effect.provide(layer)))

  it.effect("leaves no row of a report that is forgotten while it is noted as taken", () =>
    Effect.gen(function*() {
      const outbox = yield* Outbox
      const journal = yield* MemoryJournal
      const told = report(1, "Running", { running: {} })
      yield* outbox.put(told)
      yield* journal.intercept(Effect.sleep("1 second"))
      yield* Effect.forkChild(outbox.taken(told), { startImmediately: true })
      yield* journal.intercept(Effect.void)
      yield* Effect.forkChild(outbox.forget("u-1"), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* journal.diary, ["put reports u-1", "remove reports u-1"])
    }).pipe(Effect.provide(Layer.provideMerge(Outbox.layer, MemoryJournal.layer))))

  it.effect("tries again to forget what the journal did not let go", () =>
    Effect.gen(function*() {
      const outbox = yield* Outbox
      const journal = yield* MemoryJournal
      const told = report(1, "Running", { running: {} })
      yield* outbox.put(told)
      yield* outbox.taken(told)
      yield* journal.fail("Broken", 3)
      yield* outbox.forget("u-1")
      assert.isTrue(yield* journal.has("reports", "u-1"))
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* journal.has("reports", "u-1"))
    }).pipe(Effect.provide(Layer.provideMerge(Outbox.layer, MemoryJournal.layer))))

  it.effect("does not take away what is told of the next pod of that uid", () =>
    Effect.gen(function*() {
      const outbox = yield* Outbox
      const journal = yield* MemoryJournal
      const told = report(1, "Running", { running: {} })
      yield* outbox.put(told)
      yield* outbox.taken(told)
      yield* journal.fail("Broken", 1)
      yield* outbox.forget("u-1")
      yield* outbox.put(told)
      yield* outbox.taken(told)
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* journal.has("reports", "u-1"))
    }).pipe(Effect.provide(Layer.provideMerge(Outbox.layer, MemoryJournal.layer))))

  it.effect("forgets, when the agent begins, what belongs to no pod that the device holds", () =>
    Effect.gen(function*() {
      const journal = yield* Journal
      const value = new TextEncoder().encode("7")
      yield* journal.commit([
        { _tag: "Put", table: "assignments", key: "held", value, secret: true },
        { _tag: "Put", table: "reports", key: "held", value, secret: false },
        { _tag: "Put", table: "reports", key: "gone", value, secret: false }
      ])
      yield* Effect.scoped(Effect.andThen(Layer.build(Outbox.layer), TestClock.adjust("1 second")))
      assert.deepStrictEqual((yield* journal.rows("reports")).map(({ key }) => key), ["held"])
    }).pipe(Effect.provide(MemoryJournal.layer)))
})
