import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { MemoryRuntime } from "../../../fakes/MemoryRuntime.ts"
import { exits } from "../../../fakes/runtime/Program.ts"
import { Device, pass } from "./Device.ts"
import { container, pod } from "./pods.ts"

describe("what pods use", () => {
  it.effect("is told by pod and container, with the start of the run that is measured", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(({ container }) => container === "busy", { cpu: 500, memory: 1024 * 1024 })
      const machine = yield* device.start
      yield* machine.ensure(pod({ containers: [container("app"), container("busy")] }))
      yield* pass(20)
      const all = yield* machine.usage
      assert.deepStrictEqual(all.map(({ containers, uid }) => [uid, ...containers.map(({ name }) => name)]), [
        ["u1", "app", "busy"]
      ])
      const busy = all[0]!.containers[1]!
      const status = device.newest().status.containerStatuses?.find(({ name }) => name === "busy")
      assert.strictEqual(busy.startedAt, Date.parse(status?.state?.running?.startedAt ?? ""))
      assert.strictEqual(busy.memoryWorkingSetBytes, 1024 * 1024)
      assert.closeTo(busy.cpuNanoseconds / 1e9, 0.5 * 20, 1)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("begins anew with each run of a container, and is not told of one that waits for its next", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      let runs = 0
      yield* runtime.script(() => true, () => ++runs <= 2 ? { run: exits(1, "3 seconds") } : {})
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(2)
      const first = (yield* machine.usage)[0]?.containers[0]
      yield* pass(6)
      // The first restart is at once, the second after a while.
      assert.deepStrictEqual(yield* machine.usage, [])
      yield* pass(10)
      const second = (yield* machine.usage)[0]?.containers[0]
      assert.isAbove(second?.startedAt ?? 0, first?.startedAt ?? Infinity)
    }).pipe(Effect.provide(Device.layer)))
})
