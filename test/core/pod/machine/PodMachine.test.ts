import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { MemoryRuntime } from "../../../fakes/MemoryRuntime.ts"
import { exits } from "../../../fakes/runtime/Program.ts"
import { Device, pass } from "./Device.ts"
import { container, pod } from "./pods.ts"

const ready = (device: Device["Service"], uid = "u1") =>
  device.newest(uid).status.conditions?.find(({ type }) => type === "Ready")?.status

describe("a pod", () => {
  it.effect("comes up, is told Pending, then Running and Ready", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(2)
      const phases = device.reports().map(({ status }) => status.phase)
      assert.deepStrictEqual(phases, ["Pending", "Pending", "Running"])
      assert.strictEqual(ready(device), "True")
      const status = device.newest().status
      assert.strictEqual(status.hostIP, "192.168.7.9")
      assert.isDefined(status.podIP)
      assert.deepStrictEqual(device.reasons(), ["Pulling", "Pulled", "Created", "Started"])
    }).pipe(Effect.provide(Device.layerSlow)))

  it.effect("that is deleted stops, tells its result, then that nothing is left", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(1)
      yield* machine.remove("u1", 30)
      yield* pass(3)
      const last = device.reports().slice(-2)
      assert.deepStrictEqual(last.map(({ finished }) => finished), [false, true])
      assert.deepStrictEqual(last.map(({ status }) => status.phase), ["Failed", "Failed"])
      assert.strictEqual(device.newest().status.containerStatuses?.[0]?.state?.terminated?.exitCode, 143)
      assert.include(device.reasons(), "Killing")
      assert.deepStrictEqual(yield* machine.held, [{ uid: "u1", hash: "00ff" }])
      yield* machine.forget("u1")
      assert.deepStrictEqual(yield* machine.held, [])
      assert.lengthOf(yield* runtime.runs, 1)
    }).pipe(Effect.provide(Device.layerSlow)))

  it.effect("waits 10, 20, 40 s and so on to 300 s between crashes", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, { run: exits(1, "1 second") })
      const machine = yield* device.start
      yield* machine.ensure(pod({ containers: [container("app")] }))
      yield* pass(1250)
      const starts = (yield* runtime.runs).map(({ startedAt }) => Math.round(startedAt / 1000))
      const gaps = starts.slice(1).map((at, index) => at - (starts[index] ?? 0) - 1)
      assert.deepStrictEqual(gaps, [0, 10, 20, 40, 80, 160, 300, 300, 300])
    }).pipe(Effect.provide(Device.layer)))
})
