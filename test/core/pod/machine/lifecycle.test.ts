import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ContainerRuntime, RuntimeError } from "../../../../core/pod/ContainerRuntime.ts"
import type { PodAssignment } from "../../../../core/pod/PodAssignment.ts"
import { FilesError } from "../../../../core/pod/PodFiles.ts"
import { MemoryFiles } from "../../../fakes/MemoryFiles.ts"
import { MemoryHost } from "../../../fakes/MemoryHost.ts"
import { MemoryRuntime } from "../../../fakes/MemoryRuntime.ts"
import { crashes, exits, outOfMemory } from "../../../fakes/runtime/Program.ts"
import { Device, pass } from "./Device.ts"
import { container, pod } from "./pods.ts"

const app = (device: Device["Service"]) => device.newest().status.containerStatuses?.[0]
const runsOf = Effect.map(
  Effect.flatMap(MemoryRuntime, ({ runs }) => runs),
  (runs) => runs.map((run) => `${run.container}#${run.attempt}`)
)

describe("restart policy", () => {
  const cases: ReadonlyArray<[PodAssignment["restartPolicy"], number, string, number]> = [
    ["Always", 0, "Running", 3],
    ["Always", 1, "Running", 3],
    ["OnFailure", 0, "Succeeded", 1],
    ["OnFailure", 1, "Running", 3],
    ["Never", 0, "Succeeded", 1],
    ["Never", 7, "Failed", 1]
  ]
  it.effect.each(cases)("%s after exit %i: %s", ([restartPolicy, code, phase, runs]) =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, { run: exits(code, "1 second") })
      const machine = yield* device.start
      yield* machine.ensure(pod({ restartPolicy }))
      yield* pass(25)
      assert.strictEqual(device.newest().status.phase, phase)
      assert.lengthOf(yield* runtime.runs, runs)
      assert.strictEqual(app(device)?.restartCount, runs - 1)
      const finished = phase !== "Running"
      assert.strictEqual(device.newest().finished, finished)
      const { lastState, state } = app(device) ?? {}
      const ended = finished ? state?.terminated : lastState?.terminated
      assert.strictEqual(ended?.exitCode, code)
      assert.strictEqual(ended?.reason, code === 0 ? "Completed" : "Error")
      if (!finished) {
        assert.deepStrictEqual(state?.waiting, {
          reason: "CrashLoopBackOff",
          message: "back-off 20s restarting failed container=app pod=web_default(u1)"
        })
        assert.deepInclude(
          device.events().filter(({ reason }) => reason === "BackOff").map(({ message }) => message),
          "Back-off restarting failed container app in pod web_default(u1)"
        )
      }
    }).pipe(Effect.provide(Device.layer)))

  it.effect("a run of more than ten minutes starts the back-off over", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, {
        run: (process) => exits(1, process.spec.attempt === 3 ? "601 seconds" : "1 second")(process)
      })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(700)
      const runs = (yield* runtime.runs).map(({ startedAt }) => Math.round(startedAt / 1000))
      assert.deepStrictEqual(runs, [0, 1, 12, 33, 634, 645, 666])
    }).pipe(Effect.provide(Device.layer)))

  it.effect("a container the kernel killed is OOMKilled with 137", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, { run: outOfMemory("1 second") })
      const machine = yield* device.start
      yield* machine.ensure(pod({ restartPolicy: "Never" }))
      yield* pass(3)
      assert.strictEqual(app(device)?.state?.terminated?.reason, "OOMKilled")
      assert.strictEqual(app(device)?.state?.terminated?.exitCode, 137)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("a process that cannot be started is a failed attempt with 128", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, { startFails: "exec: \"nope\": executable file not found in $PATH" })
      const machine = yield* device.start
      yield* machine.ensure(pod({ restartPolicy: "Never" }))
      yield* pass(3)
      assert.strictEqual(device.newest().status.phase, "Failed")
      assert.deepInclude(app(device)?.state?.terminated, { exitCode: 128, reason: "StartError" })
      assert.lengthOf(yield* runtime.runs, 0)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("a process that can never be started leaves no more behind than its newest attempts", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const engine = yield* ContainerRuntime
      yield* runtime.script(() => true, { startFails: "exec: \"nope\": executable file not found in $PATH" })
      yield* (yield* device.start).ensure(pod())
      yield* pass(3600)
      const attempts = (yield* engine.containers("u1")).map(({ attempt }) => attempt)
      const newest = app(device)?.restartCount ?? 0
      assert.isAbove(newest, 10)
      assert.sameMembers(attempts, [newest - 1, newest])
    }).pipe(Effect.provide(Device.layer)))
})

describe("init containers", () => {
  const initPod = (change: Partial<PodAssignment> = {}) =>
    pod({ initContainers: [container("first"), container("second")], ...change })

  it.effect("run one after another before the others", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(({ container }) => container !== "app", { run: exits(0, "2 seconds") })
      const machine = yield* device.start
      yield* machine.ensure(initPod())
      yield* pass(1)
      assert.deepStrictEqual(yield* runsOf, ["first#0"])
      assert.strictEqual(device.newest().status.phase, "Pending")
      assert.strictEqual(app(device)?.state?.waiting?.reason, "PodInitializing")
      const initialized = device.newest().status.conditions?.find(({ type }) => type === "Initialized")
      assert.deepInclude(initialized, {
        status: "False",
        reason: "ContainersNotInitialized",
        message: "containers with incomplete status: [first second]"
      })
      yield* pass(2)
      assert.deepStrictEqual(yield* runsOf, ["first#0", "second#0"])
      yield* pass(3)
      assert.deepStrictEqual(yield* runsOf, ["first#0", "second#0", "app#0"])
      assert.strictEqual(device.newest().status.phase, "Running")
      assert.deepStrictEqual(device.newest().status.initContainerStatuses?.map(({ ready }) => ready), [true, true])
    }).pipe(Effect.provide(Device.layer)))

  it.effect("that fail are tried again under Always, with back-off, and nothing else starts", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(({ container }) => container === "first", {
        run: crashes(2, { after: "1 second", then: exits(0, "1 second") })
      })
      yield* runtime.script(({ container }) => container === "second", { run: exits(0, "1 second") })
      const machine = yield* device.start
      yield* machine.ensure(initPod())
      yield* pass(5)
      assert.strictEqual(device.newest().status.initContainerStatuses?.[0]?.state?.waiting?.reason, "CrashLoopBackOff")
      assert.strictEqual(device.newest().status.phase, "Pending")
      yield* pass(15)
      assert.deepStrictEqual(yield* runsOf, ["first#0", "first#1", "first#2", "second#0", "app#0"])
      assert.strictEqual(device.newest().status.phase, "Running")
    }).pipe(Effect.provide(Device.layer)))

  it.effect("that fail end the pod under Never", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(({ container }) => container === "first", { run: exits(3, "1 second") })
      const machine = yield* device.start
      yield* machine.ensure(initPod({ restartPolicy: "Never" }))
      yield* pass(10)
      assert.deepStrictEqual(yield* runsOf, ["first#0"])
      assert.strictEqual(device.newest().status.phase, "Failed")
      assert.strictEqual(device.newest().finished, true)
      assert.strictEqual(app(device)?.state?.waiting?.reason, "PodInitializing")
    }).pipe(Effect.provide(Device.layer)))
})

describe("trouble on the way up", () => {
  it.effect("an engine that is away changes nothing in the status, and the pod comes up when it is back", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(1)
      const before = device.newest().number
      yield* runtime.stopEngine("survive")
      yield* pass(300)
      assert.strictEqual(device.newest().number, before)
      yield* runtime.startEngine
      yield* pass(60)
      assert.strictEqual(device.newest().number, before)
      assert.lengthOf(yield* runtime.runs, 1)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("a volume that cannot be made is told once and tried until it can", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const files = yield* MemoryFiles
      yield* files.fail("volume", new FilesError({ reason: "Failed", detail: "disk on fire" }), 4)
      const machine = yield* device.start
      yield* machine.ensure(pod({ volumes: [{ _tag: "EmptyDir", name: "data", medium: "" }] }))
      yield* pass(3)
      assert.strictEqual(app(device)?.state?.waiting?.reason, "ContainerCreating")
      yield* pass(30)
      assert.strictEqual(device.newest().status.phase, "Running")
      const told = device.events().filter(({ reason }) => reason === "FailedMount")
      assert.deepStrictEqual(told.map(({ message }) => message), [
        "MountVolume.SetUp failed for volume \"data\" : disk on fire"
      ])
    }).pipe(Effect.provide(Device.layer)))

  it.effect("a sandbox that cannot be made is told and tried again", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const error = new RuntimeError({ reason: "Invalid", detail: "port 80 is taken" })
      yield* runtime.fault("ensureSandbox", { _tag: "Fails", error }, { times: 3 })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(30)
      assert.strictEqual(device.newest().status.phase, "Running")
      assert.include(
        device.events().map(({ message, reason }) => `${reason}: ${message}`),
        "FailedCreatePodSandBox: Failed to create pod sandbox: port 80 is taken"
      )
    }).pipe(Effect.provide(Device.layer)))

  it.effect("what the runtime cannot give at all is refused as at admission", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const error = new RuntimeError({ reason: "Unsupported", detail: "no network namespaces here" })
      yield* runtime.fault("ensureSandbox", { _tag: "Fails", error })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(3)
      const { finished, status } = device.newest()
      assert.deepInclude(status, {
        phase: "Failed",
        reason: "PodFeatureUnsupported",
        message: "Pod was rejected: no network namespaces here"
      })
      assert.strictEqual(finished, true)
      assert.lengthOf(yield* runtime.runs, 0)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("a container of a kind the runtime does not have is refused before anything ran", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const error = new RuntimeError({ reason: "Unsupported", detail: "privileged containers are switched off" })
      yield* runtime.fault("create", { _tag: "Fails", error }, { times: 100 })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(3)
      assert.strictEqual(device.newest().status.reason, "PodFeatureUnsupported")
      assert.strictEqual(device.newest().finished, true)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("a sandbox that the engine cannot make for now is told", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const error = new RuntimeError({ reason: "CreateFailed", detail: "no space left on device" })
      yield* runtime.fault("ensureSandbox", { _tag: "Fails", error }, { times: 3 })
      yield* (yield* device.start).ensure(pod())
      yield* pass(30)
      assert.strictEqual(device.newest().status.phase, "Running")
      assert.include(
        device.events().map(({ message, reason }) => `${reason}: ${message}`),
        "FailedCreatePodSandBox: Failed to create pod sandbox: no space left on device"
      )
    }).pipe(Effect.provide(Device.layer)))

  it.effect.each(
    [
      "Invalid",
      "CreateFailed"
    ] as const
  )("a container the engine refuses (%s) waits with CreateContainerError", (reason) =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const error = new RuntimeError({ reason, detail: "invalid mount path" })
      yield* runtime.fault("create", { _tag: "Fails", error }, { times: 3 })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(0.5)
      assert.deepStrictEqual(app(device)?.state?.waiting, {
        reason: "CreateContainerError",
        message: "invalid mount path"
      })
      assert.include(
        device.events().map(({ message, reason }) => `${reason}: ${message}`),
        "Failed: Error: invalid mount path"
      )
      yield* pass(30)
      assert.strictEqual(device.newest().status.phase, "Running")
      assert.strictEqual(app(device)?.restartCount, 0)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("an image that would run as root is refused where that is forbidden", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const machine = yield* device.start
      const security = { ...container("app").security, runAsNonRoot: true }
      yield* machine.ensure(pod({ containers: [container("app", { security })] }))
      yield* pass(1)
      assert.deepStrictEqual(app(device)?.state?.waiting, {
        reason: "CreateContainerConfigError",
        message: "container has runAsNonRoot and image will run as root (pod: \"web_default(u1)\", container: app)"
      })
      assert.deepStrictEqual(yield* runsOf, [])
    }).pipe(Effect.provide(Device.layer)))
})

describe("a sandbox that is lost", () => {
  it.effect("takes its containers with it; all come up again in a new one, initialisation first", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(({ container }) => container === "init", { run: exits(0, "1 second") })
      const machine = yield* device.start
      yield* machine.ensure(pod({ initContainers: [container("init")] }))
      yield* pass(3)
      yield* runtime.breakSandbox("u1")
      yield* pass(120)
      assert.deepStrictEqual(yield* runsOf, ["init#0", "app#0", "init#1", "app#1"])
      assert.strictEqual(device.newest().status.phase, "Running")
      assert.include(device.reasons(), "SandboxChanged")
    }).pipe(Effect.provide(Device.layer)))

  it.effect("does not make a success of work that was cut short for it", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, { onTerm: { after: "1 second", code: 0 } })
      const machine = yield* device.start
      yield* machine.ensure(pod({ restartPolicy: "OnFailure" }))
      yield* pass(3)
      yield* runtime.breakSandbox("u1")
      yield* pass(120)
      assert.deepStrictEqual(yield* runsOf, ["app#0", "app#1"])
      assert.strictEqual(device.newest().status.phase, "Running")
    }).pipe(Effect.provide(Device.layer)))

  it.effect("does not make anything run twice under Never", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const machine = yield* device.start
      yield* machine.ensure(pod({ restartPolicy: "Never" }))
      yield* pass(3)
      yield* runtime.breakSandbox("u1")
      yield* pass(120)
      assert.deepStrictEqual(yield* runsOf, ["app#0"])
      assert.strictEqual(device.newest().status.phase, "Failed")
    }).pipe(Effect.provide(Device.layer)))
})

describe("activeDeadlineSeconds", () => {
  it.effect("ends the pod as Failed with DeadlineExceeded, and only then", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const machine = yield* device.start
      yield* machine.ensure(pod({ activeDeadlineSeconds: 100 }))
      yield* pass(98)
      assert.strictEqual(device.newest().status.phase, "Running")
      yield* pass(5)
      const { finished, status } = device.newest()
      assert.deepInclude(status, {
        phase: "Failed",
        reason: "DeadlineExceeded",
        message: "Pod was active on the node longer than the specified deadline"
      })
      assert.strictEqual(status.containerStatuses?.[0]?.state?.terminated?.exitCode, 143)
      assert.strictEqual(finished, true)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("counts the time before a reboot too, but not the time without power", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const machine = yield* device.start
      yield* machine.ensure(pod({ activeDeadlineSeconds: 400 }))
      yield* pass(300)
      yield* device.kill
      yield* runtime.powerOff("exited")
      yield* (yield* MemoryHost).reboot
      yield* pass(3600)
      yield* runtime.startEngine
      yield* device.start
      yield* pass(90)
      assert.strictEqual(device.newest().status.phase, "Running")
      yield* pass(110)
      assert.strictEqual(device.newest().status.reason, "DeadlineExceeded")
    }).pipe(Effect.provide(Device.layer)))

  it.effect("counts on after a reboot of which the status shows nothing", () =>
    Effect.gen(function*() {
      const device = yield* Device
      yield* (yield* MemoryFiles).fail("volume", new FilesError({ reason: "Failed", detail: "disk on fire" }))
      const machine = yield* device.start
      const volumes: PodAssignment["volumes"] = [{ _tag: "EmptyDir", name: "data", medium: "" }]
      yield* machine.ensure(pod({ activeDeadlineSeconds: 400, volumes }))
      yield* pass(300)
      yield* device.kill
      yield* (yield* MemoryHost).reboot
      yield* device.start
      yield* pass(60)
      assert.strictEqual(device.newest().status.phase, "Pending")
      yield* pass(140)
      assert.strictEqual(device.newest().status.reason, "DeadlineExceeded")
    }).pipe(Effect.provide(Device.layer)))

  it.effect("counts on while the agent is away", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const machine = yield* device.start
      yield* machine.ensure(pod({ activeDeadlineSeconds: 100 }))
      yield* pass(50)
      yield* device.kill
      yield* pass(60)
      yield* device.start
      yield* pass(3)
      assert.strictEqual(device.newest().status.reason, "DeadlineExceeded")
    }).pipe(Effect.provide(Device.layer)))
})

describe("a termination message", () => {
  it.effect("is the end of its file, within its limit", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const files = yield* MemoryFiles
      yield* runtime.script(() => true, { run: exits(1, "2 seconds") })
      const machine = yield* device.start
      yield* machine.ensure(pod({ restartPolicy: "Never" }))
      yield* pass(1)
      yield* files.put("u1", "termination-app", `${"x".repeat(5000)}the end`)
      yield* pass(3)
      const message = app(device)?.state?.terminated?.message ?? ""
      assert.strictEqual(message.length, 4096)
      assert.isTrue(message.endsWith("the end"))
    }).pipe(Effect.provide(Device.layer)))

  it.effect.each([[0, undefined], [1, "last words\n"]] as const)(
    "comes from the log only after a failure (exit %i)",
    ([code, expected]) =>
      Effect.gen(function*() {
        const device = yield* Device
        const runtime = yield* MemoryRuntime
        yield* runtime.script(() => true, {
          run: (process) => Effect.andThen(process.print("last words\n"), exits(code, "1 second")(process))
        })
        const machine = yield* device.start
        const containers = [container("app", { terminationMessagePolicy: "FallbackToLogsOnError" })]
        yield* machine.ensure(pod({ restartPolicy: "Never", containers }))
        yield* pass(3)
        assert.strictEqual(app(device)?.state?.terminated?.message, expected)
      }).pipe(Effect.provide(Device.layer))
  )
})
