import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { type ContainerSpec, RuntimeError } from "../../../../core/pod/ContainerRuntime.ts"
import type { PodAssignment } from "../../../../core/pod/PodAssignment.ts"
import { MemoryRuntime } from "../../../fakes/MemoryRuntime.ts"
import { exits, prints, type Script } from "../../../fakes/runtime/Program.ts"
import { Device, pass } from "./Device.ts"
import { container, ephemeral, pod } from "./pods.ts"

/** A pod that has run for a while, and then gets a container to look into it. */
const added = Effect.fnUntraced(function*(
  options: {
    readonly debug?: Partial<Script>
    readonly targetContainer?: string
    readonly change?: Partial<PodAssignment>
  } = {}
) {
  const device = yield* Device
  const runtime = yield* MemoryRuntime
  const specs: Array<ContainerSpec> = []
  yield* runtime.script(({ container }) => container === "debug", (spec) => {
    specs.push(spec)
    return options.debug ?? {}
  })
  const machine = yield* device.start
  const before = pod(options.change)
  yield* machine.ensure(before)
  yield* pass(5)
  const { targetContainer = "" } = options
  const after = { ...before, hash: "11", ephemeralContainers: [ephemeral("debug", { targetContainer })] }
  yield* machine.ensure(after)
  yield* pass(5)
  return { device, machine, runtime, specs, before, after }
})

const runs = Effect.gen(function*() {
  return (yield* (yield* MemoryRuntime).runs).map((run) => `${run.container}#${run.attempt}`)
})

describe("an ephemeral container", () => {
  it.effect("starts beside the others, which go on as they were", () =>
    Effect.gen(function*() {
      const { device } = yield* added()
      assert.deepStrictEqual(yield* runs, ["app#0", "debug#0"])
      const { containerStatuses, ephemeralContainerStatuses, phase } = device.newest().status
      assert.strictEqual(phase, "Running")
      assert.strictEqual(containerStatuses?.length, 1)
      assert.deepInclude(ephemeralContainerStatuses?.[0], { name: "debug", ready: false, restartCount: 0 })
      assert.isDefined(ephemeralContainerStatuses?.[0]?.state?.running)
      const started = device.events().filter(({ reason }) => reason === "Started").map(({ fieldPath }) => fieldPath)
      assert.deepStrictEqual(started, ["spec.containers{app}", "spec.ephemeralContainers{debug}"])
    }).pipe(Effect.provide(Device.layer)))

  it.effect("is never started again, and its end is nothing to the pod", () =>
    Effect.gen(function*() {
      const { device } = yield* added({ debug: { run: exits(3, "2 seconds") } })
      yield* pass(700)
      assert.deepStrictEqual(yield* runs, ["app#0", "debug#0"])
      const { conditions, ephemeralContainerStatuses, phase } = device.newest().status
      assert.strictEqual(phase, "Running")
      assert.strictEqual(conditions?.find(({ type }) => type === "Ready")?.status, "True")
      assert.strictEqual(ephemeralContainerStatuses?.[0]?.state?.terminated?.exitCode, 3)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("does not keep a pod alive whose own containers are done", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(({ container }) => container === "app", { run: exits(0, "20 seconds") })
      yield* added({ change: { restartPolicy: "Never" } })
      assert.strictEqual(device.newest().status.phase, "Running")
      yield* pass(60)
      assert.strictEqual(device.newest().status.phase, "Succeeded")
      assert.isDefined(device.newest().status.ephemeralContainerStatuses?.[0]?.state?.terminated)
      assert.strictEqual(device.newest().finished, true)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("starts while init containers are still at work", () =>
    Effect.gen(function*() {
      const { device } = yield* added({ change: { initContainers: [container("init")] } })
      assert.deepStrictEqual(yield* runs, ["init#0", "debug#0"])
      assert.strictEqual(device.newest().status.phase, "Pending")
    }).pipe(Effect.provide(Device.layer)))

  it.effect("sees the processes of its target", () =>
    Effect.gen(function*() {
      const { runtime, specs } = yield* added({ targetContainer: "app" })
      const [app] = yield* runtime.runs
      assert.strictEqual(specs[0]?.processesOf, app?.id)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("waits for its target to run, and says so", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(({ container }) => container === "init", { run: exits(0, "20 seconds") })
      yield* added({ targetContainer: "app", change: { initContainers: [container("init")] } })
      assert.deepStrictEqual(device.newest().status.ephemeralContainerStatuses?.[0]?.state?.waiting, {
        reason: "CreateContainerConfigError",
        message: "unable to find target container \"app\": it does not run"
      })
      yield* pass(120)
      assert.deepStrictEqual(yield* runs, ["init#0", "app#0", "debug#0"])
    }).pipe(Effect.provide(Device.layer)))

  it.effect("that the runtime refuses takes nothing down with it", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const error = new RuntimeError({ reason: "Unsupported", detail: "no terminals here" })
      yield* runtime.fault("create", { _tag: "Fails", error }, {
        times: 100,
        where: (subject) => subject.includes("/debug#")
      })
      yield* runtime.image("app:1", { pullTakes: "1 minute" })
      yield* added()
      const { ephemeralContainerStatuses, phase } = device.newest().status
      assert.strictEqual(phase, "Pending")
      assert.deepStrictEqual(ephemeralContainerStatuses?.[0]?.state?.waiting, {
        reason: "CreateContainerError",
        message: "no terminals here"
      })
      yield* pass(120)
      assert.strictEqual(device.newest().status.phase, "Running")
    }).pipe(Effect.provide(Device.layer)))

  it.effect("stays when a later version of the pod does not name it", () =>
    Effect.gen(function*() {
      const { before, device, machine } = yield* added()
      yield* machine.ensure({ ...before, hash: "22", generation: 3 })
      yield* pass(5)
      const { ephemeralContainerStatuses, observedGeneration } = device.newest().status
      assert.strictEqual(observedGeneration, 3)
      assert.isDefined(ephemeralContainerStatuses?.[0]?.state?.running)
      assert.deepStrictEqual(yield* machine.held, [{ uid: "u1", hash: "22" }])
    }).pipe(Effect.provide(Device.layer)))

  it.effect("is reached by logs, exec and attach", () =>
    Effect.gen(function*() {
      const { machine } = yield* added({ debug: { run: prints(["seen"], { then: () => Effect.never }) } })
      const query = { container: "debug", follow: false, previous: false, timestamps: false }
      assert.strictEqual(yield* machine.logs("u1", query).pipe(Stream.decodeText, Stream.mkString), "seen\n")
      const spec = { command: ["echo", "hello"], stdin: false, stdout: true, stderr: true, tty: false }
      const process = yield* machine.exec("u1", "debug", spec)
      assert.strictEqual(yield* process.output.pipe(Stream.runDrain, Effect.andThen(process.exitCode)), 0)
      yield* machine.attach("u1", "debug", spec)
    }).pipe(Effect.scoped, Effect.provide(Device.layer)))

  it.effect("is not begun again in a sandbox that had to be made anew", () =>
    Effect.gen(function*() {
      const { device, runtime } = yield* added()
      yield* runtime.breakSandbox("u1")
      yield* pass(120)
      assert.deepStrictEqual(yield* runs, ["app#0", "debug#0", "app#1"])
      assert.isDefined(device.newest().status.ephemeralContainerStatuses?.[0]?.state?.terminated)
    }).pipe(Effect.provide(Device.layer)))
})
