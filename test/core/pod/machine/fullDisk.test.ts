import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { MemoryFiles } from "../../../fakes/MemoryFiles.ts"
import { MemoryHost } from "../../../fakes/MemoryHost.ts"
import { MemoryJournal } from "../../../fakes/MemoryJournal.ts"
import { MemoryRuntime } from "../../../fakes/MemoryRuntime.ts"
import { exits } from "../../../fakes/runtime/Program.ts"
import { Device, pass } from "./Device.ts"
import { container, pod } from "./pods.ts"

const running = Effect.map(
  Effect.flatMap(MemoryRuntime, ({ runs }) => runs),
  (runs) => runs.filter(({ finishedAt }) => finishedAt === undefined).map((run) => `${run.container}#${run.attempt}`)
)

/** Two containers, of which `a` ends after five seconds when the journal takes no more writes, and nobody notes it. */
const oneEndsUnrecorded = Effect.gen(function*() {
  const runtime = yield* MemoryRuntime
  const journal = yield* MemoryJournal
  yield* runtime.script(({ container }) => container === "a", { run: exits(1, "5 seconds") })
  const machine = yield* (yield* Device).start
  yield* machine.ensure(pod({ containers: [container("a"), container("b")] }))
  yield* pass(3)
  yield* journal.fail("Full")
  yield* pass(10)
  assert.deepStrictEqual(yield* running, ["b#0"])
  return machine
})

describe("where the journal takes no writes", () => {
  it.effect.each(["Always", "OnFailure"] as const)(
    "what has to rest does, and goes on afterwards however it ended (%s)",
    (restartPolicy) =>
      Effect.gen(function*() {
        const device = yield* Device
        const runtime = yield* MemoryRuntime
        const journal = yield* MemoryJournal
        yield* runtime.script(() => true, { onTerm: { after: "2 seconds", code: 0 } })
        const machine = yield* device.start
        yield* machine.ensure(pod({ restartPolicy }))
        yield* pass(3)
        yield* journal.fail("Full")
        yield* machine.rest(true)
        yield* pass(60)
        assert.deepStrictEqual(yield* running, [])
        yield* journal.heal
        yield* pass(60)
        yield* machine.rest(false)
        yield* pass(60)
        assert.deepStrictEqual(yield* running, ["app#1"])
        assert.strictEqual(device.newest().status.phase, "Running")
      }).pipe(Effect.provide(Device.layer))
  )

  it.effect("what has to rest does beside a container whose end is not recorded", () =>
    Effect.gen(function*() {
      const machine = yield* oneEndsUnrecorded
      yield* machine.rest(true)
      yield* pass(60)
      assert.deepStrictEqual(yield* running, [])
    }).pipe(Effect.provide(Device.layer)))

  it.effect("what has to rest does although the time of its deadline cannot be noted", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const journal = yield* MemoryJournal
      const machine = yield* device.start
      yield* machine.ensure(pod({ activeDeadlineSeconds: 3600 }))
      yield* pass(3)
      yield* journal.fail("Full")
      yield* pass(300)
      yield* machine.rest(true)
      yield* pass(60)
      assert.deepStrictEqual(yield* running, [])
    }).pipe(Effect.provide(Device.layer)))

  it.effect("what somebody else started is stopped before the end of ours is recorded", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const journal = yield* MemoryJournal
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(3)
      yield* device.kill
      // Another boot, in which nothing of ours can be running.
      yield* (yield* MemoryHost).reboot
      yield* journal.fail("Full")
      yield* device.start
      yield* pass(60)
      assert.deepStrictEqual(yield* running, [])
    }).pipe(Effect.provide(Device.layer)))

  it.effect("a deadline ends its pod, and is told when there is space again", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const journal = yield* MemoryJournal
      const machine = yield* device.start
      yield* machine.ensure(pod({ activeDeadlineSeconds: 100 }))
      yield* pass(3)
      yield* journal.fail("Full")
      yield* pass(140)
      assert.deepStrictEqual(yield* running, [])
      assert.lengthOf(device.reasons().filter((reason) => reason === "DeadlineExceeded"), 1)
      yield* journal.heal
      yield* pass(60)
      assert.strictEqual(device.newest().status.reason, "DeadlineExceeded")
      assert.strictEqual(device.newest().finished, true)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("a change waits, and what runs goes on", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const journal = yield* MemoryJournal
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(3)
      // The assignment is written, and nothing after it.
      let writes = 0
      yield* journal.intercept(Effect.suspend(() => (writes += 1) === 2 ? journal.fail("Full") : Effect.void))
      yield* machine.ensure(pod({ hash: "02", containers: [container("app", { image: "app:9" })] }))
      yield* pass(60)
      assert.deepStrictEqual(yield* running, ["app#0"])
      yield* journal.heal
      yield* pass(60)
      assert.deepStrictEqual(yield* running, ["app#1"])
    }).pipe(Effect.provide(Device.layer)))

  it.effect("a deletion stops what runs beside a container whose end is not recorded", () =>
    Effect.gen(function*() {
      const machine = yield* oneEndsUnrecorded
      yield* Effect.forkChild(machine.remove("u1", 5))
      yield* pass(60)
      assert.deepStrictEqual(yield* running, [])
    }).pipe(Effect.provide(Device.layer)))

  it.effect.each([1, 2, 3, 4, 5])(
    "from the write %i of a deletion on, files of the pod go all the same: they may be what fills the disk",
    (first) =>
      Effect.gen(function*() {
        const device = yield* Device
        const runtime = yield* MemoryRuntime
        const files = yield* MemoryFiles
        const journal = yield* MemoryJournal
        yield* runtime.script(() => true, { onTerm: { after: "2 seconds", code: 3 } })
        const machine = yield* device.start
        yield* machine.ensure(pod({ volumes: [{ _tag: "EmptyDir", name: "data", medium: "" }] }))
        yield* pass(3)
        yield* files.put("u1", "termination-app", "last words")
        let writes = 0
        yield* journal.intercept(Effect.suspend(() => (writes += 1) === first ? journal.fail("Full") : Effect.void))
        yield* Effect.forkChild(machine.remove("u1", 30))
        yield* pass(60)
        assert.isAtLeast(writes, first)
        assert.include(yield* files.diary, "remove u1")
        assert.isTrue(device.reports().every(({ finished }) => !finished))
        yield* journal.heal
        yield* pass(60)
        const { finished, status } = device.newest()
        assert.strictEqual(finished, true)
        assert.strictEqual(status.phase, "Failed")
        assert.deepInclude(status.containerStatuses?.[0]?.state?.terminated, { exitCode: 3, message: "last words" })
      }).pipe(Effect.provide(Device.layer))
  )
})
