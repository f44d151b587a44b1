import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { MemoryFiles } from "../../../fakes/MemoryFiles.ts"
import { MemoryJournal } from "../../../fakes/MemoryJournal.ts"
import { MemoryRuntime } from "../../../fakes/MemoryRuntime.ts"
import { exits } from "../../../fakes/runtime/Program.ts"
import { Device, pass, quietly } from "./Device.ts"
import { container, pod } from "./pods.ts"

const app = (device: Device["Service"], uid = "u1") => device.newest(uid).status.containerStatuses?.[0]
const stops = Effect.map(
  Effect.flatMap(MemoryRuntime, ({ diary }) => diary),
  (diary) => diary.filter((line) => line.includes(" stop ")).map((line) => line.replace(/^\S+ stop /, ""))
)

/** A pod that ran, was removed, and of which nothing is known any more. */
const forgotten = Effect.gen(function*() {
  const machine = yield* (yield* Device).start
  yield* machine.ensure(pod())
  yield* pass(1)
  assert.isTrue(yield* machine.remove("u1", 1))
  yield* pass(5)
  yield* machine.forget("u1")
  return machine
})

describe("deletion", () => {
  it.effect("gives every container the grace at the same time, then kills", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, { onTerm: "ignored" })
      const machine = yield* device.start
      yield* machine.ensure(pod({ containers: [container("app"), container("b")] }))
      yield* pass(1)
      yield* machine.remove("u1", 20)
      yield* pass(19)
      assert.strictEqual(device.newest().status.phase, "Running")
      yield* pass(3)
      assert.deepStrictEqual(yield* stops, ["default/web/app#0 20s", "default/web/b#0 20s"])
      assert.deepStrictEqual(
        device.newest().status.containerStatuses?.map(({ state }) => state?.terminated?.exitCode),
        [137, 137]
      )
      assert.strictEqual(device.newest().finished, true)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("of containers that end well is Succeeded", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, { onTerm: { after: "2 seconds", code: 0 } })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(1)
      yield* machine.remove("u1", 30)
      yield* pass(4)
      assert.strictEqual(device.newest().status.phase, "Succeeded")
      assert.strictEqual(device.newest().finished, true)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("asked for again can only be sooner", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, { onTerm: "ignored" })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(1)
      yield* machine.remove("u1", 100)
      yield* pass(5)
      yield* machine.remove("u1", 1000)
      yield* pass(5)
      assert.deepStrictEqual(yield* stops, ["default/web/app#0 100s"])
      yield* machine.remove("u1", 0)
      yield* pass(4)
      assert.deepStrictEqual(yield* stops, ["default/web/app#0 100s", "default/web/app#0 2s"])
      assert.strictEqual(device.newest().finished, true)
      assert.lengthOf(device.reasons().filter((reason) => reason === "Killing"), 1)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("leaves nothing behind, and forgetting clears the journal", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const files = yield* MemoryFiles
      const journal = yield* MemoryJournal
      const machine = yield* device.start
      const volume = { path: "token", mode: 0o600, content: new TextEncoder().encode("secret") }
      yield* machine.ensure(pod({ volumes: [{ _tag: "Files", name: "s", secret: true, files: [volume] }] }))
      yield* pass(1)
      assert.strictEqual(yield* files.text("u1", "s/token"), "secret")
      assert.deepStrictEqual(yield* journal.secrets, ["assignments/u1"])
      yield* machine.remove("u1", 30)
      yield* pass(3)
      assert.isUndefined(yield* files.text("u1", "s/token"))
      const diary = yield* runtime.diary
      assert.isTrue(diary.some((line) => line.includes("removeSandbox default/web#0")))
      assert.isTrue(diary.some((line) => line.includes("remove default/web/app#0")))
      yield* machine.forget("u1")
      const commits = yield* journal.diary
      assert.strictEqual(commits.at(-1), "remove assignments u1, remove pods u1, remove attempts u1/app")
    }).pipe(Effect.provide(Device.layer)))

  it.effect("of an unknown pod is nothing", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const machine = yield* device.start
      assert.isFalse(yield* machine.remove("nobody", 30))
      yield* pass(1)
      assert.lengthOf(device.reports("nobody"), 0)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("that overtakes the assignment lets nothing begin", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const machine = yield* device.start
      assert.isFalse(yield* machine.remove("u1", 30))
      assert.isFalse(yield* machine.ensure(pod()))
      yield* pass(5)
      assert.lengthOf(yield* machine.held, 0)
      assert.lengthOf(yield* runtime.runs, 0)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("that is over and forgotten is not undone by a late assignment", () =>
    Effect.gen(function*() {
      const machine = yield* forgotten
      const runtime = yield* MemoryRuntime
      assert.isFalse(yield* machine.ensure(pod()))
      yield* pass(5)
      assert.lengthOf(yield* runtime.runs, 1)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("and forgotten is begun again by the assignment of a later session, and by none of a former one", () =>
    Effect.gen(function*() {
      const machine = yield* forgotten
      const journal = yield* MemoryJournal
      const runtime = yield* MemoryRuntime
      // It waits at the door, behind one that a full disk holds up.
      yield* journal.fail("Full")
      const other = yield* Effect.forkChild(machine.ensure({ ...pod(), uid: "u2", name: "other" }))
      const former = yield* Effect.forkChild(machine.ensure(pod()))
      yield* pass(1)
      yield* machine.beginSession
      yield* journal.heal
      yield* pass(60)
      assert.isTrue(yield* Fiber.join(other))
      assert.isFalse(yield* Fiber.join(former))
      assert.isTrue(yield* machine.ensure(pod()))
      yield* pass(5)
      assert.deepStrictEqual((yield* runtime.runs).map(({ uid }) => uid), ["u1", "u2", "u1"])
    }).pipe(quietly, Effect.provide(Device.layer)))

  it.effect.each([0, 0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95, 1.05, 1.5])(
    "%f s after its beginning lets nothing start afterwards",
    (seconds) =>
      Effect.gen(function*() {
        const device = yield* Device
        const runtime = yield* MemoryRuntime
        yield* runtime.image("app:1", { pullTakes: "300 millis" })
        const machine = yield* device.start
        yield* machine.ensure(pod())
        yield* pass(seconds)
        yield* machine.remove("u1", 5)
        yield* pass(30)
        assert.strictEqual(device.newest().finished, true)
        assert.strictEqual(device.newest().status.phase, "Failed")
        const ran = yield* runtime.runs
        assert.isTrue(ran.every(({ finishedAt }) => finishedAt !== undefined))
        const diary = yield* runtime.diary
        assert.isFalse(
          diary.slice(diary.findLastIndex((line) => line.includes("removeSandbox"))).some((line) =>
            line.includes(" start ")
          )
        )
      }).pipe(Effect.provide(Device.layerSlow))
  )

  it.effect("during a long pull leaves the pull", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.image("app:1", { pullTakes: "1 hour" })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(5)
      yield* machine.remove("u1", 30)
      yield* pass(2)
      assert.strictEqual(device.newest().finished, true)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("survives a restart of the agent with the rest of its grace", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, { onTerm: "ignored" })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(1)
      yield* machine.remove("u1", 20)
      yield* pass(10)
      yield* device.start
      yield* pass(12)
      assert.strictEqual(device.newest().finished, true)
      assert.deepStrictEqual(yield* stops, ["default/web/app#0 20s", "default/web/app#0 10s"])
    }).pipe(Effect.provide(Device.layer)))

  it.effect("begins although the disk is full, and ends when there is space again", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const journal = yield* MemoryJournal
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(1)
      yield* journal.fail("Full")
      const removal = yield* Effect.forkChild(machine.remove("u1", 5))
      yield* pass(10)
      assert.isDefined((yield* runtime.runs)[0]?.finishedAt)
      assert.isUndefined(removal.pollUnsafe())
      yield* journal.heal
      yield* pass(60)
      assert.isDefined(removal.pollUnsafe())
      assert.strictEqual(device.newest().finished, true)
    }).pipe(Effect.provide(Device.layer)))
})

describe("a pod that ends by itself", () => {
  it.effect("keeps its dead containers until it is deleted", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, { run: exits(0, "1 second") })
      const machine = yield* device.start
      yield* machine.ensure(pod({ restartPolicy: "Never" }))
      yield* pass(3)
      assert.strictEqual(device.newest().finished, true)
      const before = yield* runtime.diary
      assert.isFalse(before.some((line) => line.includes("s remove default")))
      const reports = device.reports().length
      yield* machine.remove("u1", 30)
      yield* pass(3)
      const after = yield* runtime.diary
      assert.isTrue(after.some((line) => line.includes("s remove default/web/app#0")))
      assert.strictEqual(device.reports().length, reports)
      assert.strictEqual(device.newest().status.phase, "Succeeded")
    }).pipe(Effect.provide(Device.layer)))

  it.effect("takes its dead containers with it when it is forgotten without ever being deleted", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, { run: exits(0, "1 second") })
      const machine = yield* device.start
      yield* machine.ensure(pod({ restartPolicy: "Never" }))
      // An agent that began without a pod looks for what is nobody's only after a while.
      yield* pass(70)
      assert.strictEqual(device.newest().finished, true)
      yield* machine.forget("u1")
      yield* pass(1)
      const after = yield* runtime.diary
      assert.isTrue(after.some((line) => line.includes("s remove default/web/app#0")))
    }).pipe(Effect.provide(Device.layer)))

  it.effect("stays ended whatever is assigned afterwards", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, { run: exits(1, "1 second") })
      const machine = yield* device.start
      yield* machine.ensure(pod({ restartPolicy: "Never" }))
      yield* pass(3)
      yield* machine.ensure(
        pod({ restartPolicy: "Never", hash: "02", containers: [container("app", { image: "app:9" })] })
      )
      yield* pass(100)
      assert.lengthOf(yield* runtime.runs, 1)
      assert.strictEqual(device.newest().status.phase, "Failed")
      assert.deepStrictEqual(yield* machine.held, [{ uid: "u1", hash: "02" }])
    }).pipe(Effect.provide(Device.layer)))
})

describe("a pod of the same name with another uid", () => {
  it.effect("waits until the old one is gone, which begins to end by itself", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, { onTerm: { after: "5 seconds", code: 0 } })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(1)
      yield* machine.ensure(pod({ uid: "u2" }))
      yield* pass(4)
      assert.strictEqual(device.newest("u2").status.phase, "Pending")
      assert.strictEqual(app(device, "u2")?.state?.waiting?.reason, "ContainerCreating")
      assert.lengthOf(yield* runtime.runs, 1)
      yield* pass(6)
      const [first, second] = yield* runtime.runs
      assert.strictEqual(second?.uid, "u2")
      assert.isAtLeast(second?.startedAt ?? 0, first?.finishedAt ?? Number.POSITIVE_INFINITY)
      assert.strictEqual(device.newest("u1").finished, true)
      assert.strictEqual(device.newest("u2").status.phase, "Running")
    }).pipe(Effect.provide(Device.layer)))
})
