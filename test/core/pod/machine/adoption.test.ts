import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Journal } from "../../../../core/agent/Journal.ts"
import { ContainerRuntime } from "../../../../core/pod/ContainerRuntime.ts"
import type { PodAssignment } from "../../../../core/pod/PodAssignment.ts"
import { MemoryHost } from "../../../fakes/MemoryHost.ts"
import { MemoryJournal } from "../../../fakes/MemoryJournal.ts"
import { MemoryRuntime } from "../../../fakes/MemoryRuntime.ts"
import { exits, type Program } from "../../../fakes/runtime/Program.ts"
import { Device, pass, quietly } from "./Device.ts"
import { container, only, pod } from "./pods.ts"

describe("a start whose outcome is not known", () => {
  it.effect.each(["Lost", "Late"] as const)("(%s) is waited for, never repeated", (kind) =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.fault("start", kind === "Lost" ? { _tag: "Lost" } : { _tag: "Late", after: "1500 millis" })
      yield* runtime.script(() => true, { run: exits(4, "5 seconds") })
      const machine = yield* device.start
      yield* machine.ensure(pod({ restartPolicy: "Never" }))
      yield* pass(30)
      assert.lengthOf(yield* runtime.runs, 1)
      assert.strictEqual(only(device.newest())?.state?.terminated?.exitCode, 4)
      assert.lengthOf((yield* runtime.diary).filter((line) => line.includes(" start ")), 1)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("and that comes after patience went is not mistaken for a failed start", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.fault("start", { _tag: "Late", after: "6 seconds" })
      yield* runtime.fault("start", { _tag: "Slow", by: "5 seconds" })
      yield* runtime.script(() => true, { run: exits(4, "5 seconds") })
      const machine = yield* device.start
      yield* machine.ensure(pod({ restartPolicy: "Never" }))
      yield* pass(60)
      assert.lengthOf(yield* runtime.runs, 1)
      assert.strictEqual(only(device.newest())?.state?.terminated?.exitCode, 4)
    }).pipe(Effect.provide(Device.layer)))

  it.effect.each(
    [
      ["Never", [], ["app#0"]],
      ["Never", ["init"], ["init#0", "app#0"]],
      ["Always", ["init"], ["init#0", "init#1", "app#0"]]
    ] as const
  )(
    "in a sandbox that is lost meanwhile is made anew in the next one (%s, %j)",
    ([restartPolicy, inits, expected]) =>
      Effect.gen(function*() {
        const device = yield* Device
        const runtime = yield* MemoryRuntime
        yield* runtime.script(({ container }) => container === "init", { run: exits(0, "0 seconds") })
        yield* runtime.fault("start", { _tag: "Fails" }, { where: (subject) => subject.endsWith("/app#0") })
        const machine = yield* device.start
        yield* machine.ensure(pod({ restartPolicy, initContainers: inits.map((name) => container(name)) }))
        yield* pass(0.1)
        yield* runtime.breakSandbox("u1")
        yield* pass(60)
        const runs = (yield* runtime.runs).map((run) => `${run.container}#${run.attempt}`)
        assert.deepStrictEqual(runs, [...expected])
        assert.strictEqual(device.newest().status.phase, "Running")
      }).pipe(Effect.provide(Device.layer))
  )

  it.effect("cannot bring a pod back that ended meanwhile", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.fault("start", { _tag: "Late", after: "20 seconds" }, { times: 20 })
      const machine = yield* device.start
      yield* machine.ensure(pod({ activeDeadlineSeconds: 5 }))
      yield* pass(60)
      assert.lengthOf(yield* runtime.runs, 0)
      assert.strictEqual(device.newest().status.reason, "DeadlineExceeded")
    }).pipe(Effect.provide(Device.layer)))
})

describe("a reboot", () => {
  const rebooted = Effect.fnUntraced(function*(containers: "exited" | "gone", change: Partial<PodAssignment>) {
    const device = yield* Device
    const runtime = yield* MemoryRuntime
    const host = yield* MemoryHost
    yield* runtime.script(({ container }) => container === "init", { run: exits(0, "1 second") })
    const machine = yield* device.start
    yield* machine.ensure(pod(change))
    yield* pass(5)
    assert.strictEqual(device.newest().status.phase, "Running")
    yield* device.kill
    yield* runtime.reboot(containers)
    yield* host.reboot
    yield* pass(10)
    yield* device.start
    yield* pass(30)
    return device
  })

  it.effect("ends every attempt with the result the runtime knows, and all start anew", () =>
    Effect.gen(function*() {
      const device = yield* rebooted("exited", { initContainers: [container("init")] })
      const status = only(device.newest())
      assert.strictEqual(status?.restartCount, 1)
      assert.strictEqual(status?.lastState?.terminated?.exitCode, 255)
      assert.strictEqual(device.newest().status.phase, "Running")
      const runs = (yield* (yield* MemoryRuntime).runs).map((run) => `${run.container}#${run.attempt}`)
      assert.deepStrictEqual(runs, ["init#0", "app#0", "init#1", "app#1"])
      assert.isFalse(
        device.reports().slice(3).some(({ status }) => status.phase === "Pending"),
        "never back to Pending"
      )
    }).pipe(Effect.provide(Device.layer)))

  it.effect("of a device that lost its containers is ContainerStatusUnknown, one restart more", () =>
    Effect.gen(function*() {
      const device = yield* rebooted("gone", {})
      const status = only(device.newest())
      assert.strictEqual(status?.restartCount, 1)
      assert.deepInclude(status?.lastState?.terminated, {
        exitCode: 137,
        reason: "ContainerStatusUnknown",
        message: "The container could not be located when the pod was terminated"
      })
      assert.strictEqual(device.newest().status.phase, "Running")
    }).pipe(Effect.provide(Device.layer)))

  it.effect.each(["exited", "gone"] as const)(
    "never repeats what may run once only (containers %s)",
    (containers) =>
      Effect.gen(function*() {
        const device = yield* rebooted(containers, { restartPolicy: "Never" })
        assert.lengthOf(yield* (yield* MemoryRuntime).runs, 1)
        assert.strictEqual(device.newest().status.phase, "Failed")
        assert.strictEqual(only(device.newest())?.restartCount, containers === "gone" ? 1 : 0)
        assert.strictEqual(device.newest().finished, true)
      }).pipe(Effect.provide(Device.layer))
  )
})

describe("a disk that lied about what it wrote", () => {
  const forgetful = Effect.fnUntraced(function*(
    change: Partial<PodAssignment>,
    program: Program,
    /** Written before the disk began to lie. */
    known?: PodAssignment
  ) {
    const device = yield* Device
    const runtime = yield* MemoryRuntime
    const journal = yield* MemoryJournal
    yield* runtime.script(() => true, { run: program })
    const before = yield* device.start
    if (known !== undefined) yield* before.ensure(known)
    yield* pass(5)
    yield* journal.stopSyncing
    yield* before.ensure(pod(change))
    yield* pass(5)
    yield* device.kill
    yield* journal.crash
    const machine = yield* device.start
    assert.deepStrictEqual((yield* machine.held).map(({ uid }) => uid), known === undefined ? [] : [known.uid])
    // No operator says at once what a device is to run.
    yield* pass(10)
    yield* machine.ensure(pod(change))
    yield* pass(120)
    return device
  })

  it.effect("makes the agent adopt what runs under the name it would have used", () =>
    Effect.gen(function*() {
      const device = yield* forgetful({}, () => Effect.never)
      assert.lengthOf(yield* (yield* MemoryRuntime).runs, 1)
      assert.strictEqual(device.newest().status.phase, "Running")
      assert.strictEqual(only(device.newest())?.restartCount, 0)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("makes the agent adopt it, too, where it knows of older pods", () =>
    Effect.gen(function*() {
      yield* forgetful({ restartPolicy: "Never" }, exits(0, "1 second"), pod({ uid: "u0", name: "older" }))
      const runs = (yield* (yield* MemoryRuntime).runs).filter(({ uid }) => uid === "u1")
      assert.lengthOf(runs, 1)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("makes the agent adopt what had been restarted, in the sandbox that it is in", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const journal = yield* MemoryJournal
      yield* runtime.script(({ attempt }) => attempt < 2, { run: exits(1, "1 second") })
      yield* journal.stopSyncing
      yield* (yield* device.start).ensure(pod())
      yield* pass(5)
      yield* runtime.breakSandbox("u1")
      yield* pass(60)
      const before = only(device.newest())
      const runs = yield* runtime.runs
      yield* device.kill
      yield* journal.crash
      yield* (yield* device.start).ensure(pod())
      yield* pass(120)
      assert.deepStrictEqual(only(device.newest())?.state, before?.state)
      assert.strictEqual(only(device.newest())?.restartCount, before?.restartCount)
      assert.deepStrictEqual(yield* runtime.runs, runs)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("has a pod prepared anew in its new sandbox, though the name of that is taken by how it was done before", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const journal = yield* MemoryJournal
      const prepared = pod({ initContainers: [container("init")], containers: [container("app")] })
      yield* runtime.script(({ container }) => container === "init", { run: exits(0, "1 second") })
      yield* (yield* device.start).ensure(prepared)
      yield* pass(5)
      yield* journal.stopSyncing
      yield* runtime.breakSandbox("u1")
      yield* pass(30)
      yield* device.kill
      yield* journal.crash
      yield* runtime.breakSandbox("u1")
      yield* device.start
      yield* pass(60)
      const runs = yield* runtime.runs
      for (const { sandboxId } of runs.filter((run) => run.container === "app")) {
        assert.isTrue(runs.some((run) => run.container === "init" && run.sandboxId === sandboxId))
      }
      assert.lengthOf(new Set(runs.map(({ sandboxId }) => sandboxId)), 3)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("leaves no container in a sandbox that is gone", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const journal = yield* MemoryJournal
      yield* journal.stopSyncing
      const two = pod({ containers: [container("app"), container("b")] })
      yield* (yield* device.start).ensure(two)
      yield* pass(5)
      yield* device.kill
      yield* journal.crash
      yield* runtime.breakSandbox("u1")
      yield* runtime.prune(({ container }) => container === "b")
      yield* (yield* device.start).ensure(two)
      yield* pass(60)
      assert.strictEqual(device.newest().status.phase, "Running")
      const live = (yield* runtime.runs).filter(({ finishedAt }) => finishedAt === undefined)
      assert.sameMembers(live.map(({ attempt, container }) => `${container}#${attempt}`), ["app#1", "b#0"])
    }).pipe(Effect.provide(Device.layer)))

  it.effect("does not make it repeat what may run once only", () =>
    Effect.gen(function*() {
      const device = yield* forgetful({ restartPolicy: "Never" }, exits(6, "1 second"))
      assert.lengthOf(yield* (yield* MemoryRuntime).runs, 1)
      assert.strictEqual(only(device.newest())?.state?.terminated?.exitCode, 6)
      assert.strictEqual(device.newest().status.phase, "Failed")
    }).pipe(Effect.provide(Device.layer)))
})

describe("rows that cannot be read", () => {
  it.effect("hold their pod back, and what it runs is left alone", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const journal = yield* Journal
      yield* (yield* device.start).ensure(pod())
      yield* pass(2)
      yield* device.kill
      const value = Uint8Array.of(255, 255, 255)
      yield* journal.commit([{ _tag: "Put", table: "attempts", key: "u1/app", value, secret: false }])
      const machine = yield* device.start
      yield* pass(200)
      assert.deepStrictEqual(yield* machine.held, [{ uid: "u1", hash: "" }], "in no version that anybody wants")
      assert.isUndefined((yield* runtime.runs)[0]?.finishedAt)
      yield* machine.ensure(pod())
      yield* pass(5)
      assert.lengthOf(yield* runtime.runs, 1)
      assert.strictEqual(device.newest().status.phase, "Running")
    }).pipe(quietly, Effect.provide(Device.layer)))

  /** A pod that was restarted twice, of which its first attempt is gone; then its row was damaged. */
  const damaged = Effect.gen(function*() {
    const device = yield* Device
    const runtime = yield* MemoryRuntime
    const journal = yield* Journal
    yield* runtime.script(({ attempt }) => attempt < 2, { run: exits(1, "1 second") })
    yield* (yield* device.start).ensure(pod())
    yield* pass(60)
    yield* device.kill
    const value = Uint8Array.of(255, 255, 255)
    yield* journal.commit([{ _tag: "Put", table: "attempts", key: "u1/app", value, secret: false }])
    return yield* device.start
  })
  const attempts = Effect.flatMap(
    MemoryRuntime,
    ({ runs }) => Effect.map(runs, (all) => all.map(({ attempt, finishedAt }) => [attempt, finishedAt === undefined]))
  )

  it.effect.each([false, true])(
    "end what their pod runs while workloads rest (engine away at first: %s)",
    (away) =>
      Effect.gen(function*() {
        const machine = yield* damaged
        const runtime = yield* MemoryRuntime
        yield* pass(5)
        if (away) yield* runtime.fault("containers", { _tag: "Fails" }, { times: 3 })
        yield* machine.rest(true)
        yield* pass(60)
        assert.deepStrictEqual((yield* attempts).map(([, runs]) => runs), [false, false, false])
        assert.deepStrictEqual(yield* machine.held, [{ uid: "u1", hash: "" }], "it is not given up")
        yield* machine.ensure(pod())
        yield* machine.rest(false)
        yield* pass(60)
        const device = yield* Device
        assert.strictEqual(device.newest().status.phase, "Running")
      }).pipe(quietly, Effect.provide(Device.layer))
  )

  it.effect("lose their pod nothing that had been restarted", () =>
    Effect.gen(function*() {
      const machine = yield* damaged
      const device = yield* Device
      yield* pass(5)
      yield* machine.ensure(pod())
      yield* pass(60)
      assert.deepStrictEqual(yield* attempts, [[0, false], [1, false], [2, true]])
      assert.strictEqual(only(device.newest())?.restartCount, 2)
      assert.strictEqual(device.newest().status.phase, "Running")
    }).pipe(quietly, Effect.provide(Device.layer)))

  it.effect("let their pod be removed, and nothing of it runs once it is said not to be held", () =>
    Effect.gen(function*() {
      const machine = yield* damaged
      const journal = yield* Journal
      const engine = yield* ContainerRuntime
      assert.deepStrictEqual(yield* machine.held, [{ uid: "u1", hash: "" }])
      const removal = yield* Effect.forkChild(machine.remove("u1", 10))
      yield* pass(15)
      assert.strictEqual(yield* Fiber.join(removal), false)
      assert.deepStrictEqual(yield* engine.containers(), [])
      assert.deepStrictEqual(yield* machine.held, [])
      assert.deepStrictEqual(yield* journal.rows("assignments"), [])
      assert.deepStrictEqual(yield* journal.rows("attempts"), [])
    }).pipe(quietly, Effect.provide(Device.layer)))

  it.effect("end as what nobody knows once their pod is forgotten", () =>
    Effect.gen(function*() {
      const machine = yield* damaged
      const engine = yield* ContainerRuntime
      yield* pass(100)
      assert.notDeepEqual(yield* engine.containers(), [])
      yield* machine.forget("u1")
      yield* pass(40)
      assert.deepStrictEqual(yield* engine.containers(), [])
    }).pipe(quietly, Effect.provide(Device.layer)))
})

describe("a former attempt that somebody has started", () => {
  it.effect("ends, and what has taken its place goes on", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const engine = yield* ContainerRuntime
      yield* runtime.script(({ attempt }) => attempt === 0, { run: exits(1, "1 second") })
      yield* (yield* device.start).ensure(pod())
      yield* pass(60)
      const now = (yield* engine.containers("u1")).find(({ attempt }) => attempt === 1)
      yield* runtime.prune(({ attempt }) => attempt === 0)
      yield* runtime.script(({ attempt }) => attempt === 0, { run: () => Effect.never })
      const { mounts: _, ...spec } = container("app")
      const id = yield* engine.create({
        ...spec,
        uid: "u1",
        namespace: "default",
        pod: "web",
        sandboxId: now?.sandboxId ?? "",
        container: "app",
        attempt: 0,
        imageId: now?.imageId ?? "",
        env: [],
        command: [],
        args: [],
        mounts: [],
        oomScoreAdj: 0
      })
      yield* engine.start(id)
      yield* pass(130)
      const live = (yield* runtime.runs).filter(({ finishedAt }) => finishedAt === undefined)
      assert.deepStrictEqual(live.map(({ attempt }) => attempt), [1])
      assert.strictEqual(only(device.newest())?.restartCount, 1)
    }).pipe(Effect.provide(Device.layer)))
})

describe("a restart of the agent alone", () => {
  it.effect("tells the newest report again, the same, and touches no container", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(3)
      const before = device.newest()
      yield* device.kill
      yield* pass(3600)
      yield* device.start
      yield* pass(10)
      assert.deepStrictEqual(device.newest(), before)
      assert.lengthOf(yield* runtime.runs, 1)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("goes on with a restart back-off where it was", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, { run: exits(1, "1 second") })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(20)
      yield* device.kill
      yield* pass(5)
      yield* device.start
      yield* pass(60)
      const runs = (yield* runtime.runs).map(({ startedAt }) => Math.round(startedAt / 1000))
      assert.deepStrictEqual(runs, [0, 1, 12, 33, 74])
    }).pipe(Effect.provide(Device.layer)))

  it.effect("needs nobody to say again what the runtime is called", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* (yield* device.start).ensure(pod())
      yield* pass(3)
      const before = only(device.newest())
      yield* runtime.fault("info", { _tag: "Fails" }, { times: Infinity })
      const machine = yield* device.start
      yield* pass(3)
      assert.deepStrictEqual(only(device.newest()), before)
      yield* machine.remove("u1", 1)
      yield* pass(5)
      assert.strictEqual(device.newest().finished, true)
      assert.match(only(device.newest())?.state?.terminated?.containerID ?? "", /^memory:/)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("removes what belongs to no pod it knows", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const engine = yield* ContainerRuntime
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(2)
      const [known] = yield* engine.containers()
      const sandbox = yield* engine.ensureSandbox({
        uid: "stray",
        namespace: "default",
        pod: "stray",
        attempt: 0,
        hostname: "stray",
        hostNetwork: false,
        hostPID: false,
        hostIPC: false,
        shareProcessNamespace: false,
        dns: { inheritHost: true, nameservers: [], searches: [], options: [] },
        sysctls: {},
        ports: []
      })
      yield* engine.pull("app:1", [])
      const { mounts: _, ...spec } = container("x")
      const id = yield* engine.create({
        ...spec,
        uid: "stray",
        namespace: "default",
        pod: "stray",
        sandboxId: sandbox.id,
        container: "x",
        attempt: 0,
        image: "app:1",
        imageId: known?.imageId ?? "",
        env: [],
        command: [],
        args: [],
        mounts: [],
        oomScoreAdj: 0
      })
      yield* engine.start(id)
      yield* device.start
      yield* pass(50)
      assert.lengthOf(yield* engine.containers(), 2, "the operator has some time to say whose it is")
      yield* pass(20)
      assert.deepStrictEqual((yield* engine.containers()).map(({ uid }) => uid), ["u1"])
      assert.deepStrictEqual((yield* engine.sandboxes()).map(({ uid }) => uid), ["u1"])
    }).pipe(Effect.provide(Device.layer)))
})
