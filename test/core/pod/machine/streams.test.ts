import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { RuntimeError } from "../../../../core/pod/ContainerRuntime.ts"
import type { PodLogQuery, PodRuntime } from "../../../../core/pod/PodRuntime.ts"
import { MemoryRuntime } from "../../../fakes/MemoryRuntime.ts"
import { exits, prints } from "../../../fakes/runtime/Program.ts"
import { Device, pass } from "./Device.ts"
import { container, pod } from "./pods.ts"

const query = (change: Partial<PodLogQuery> = {}): PodLogQuery => ({
  container: "app",
  follow: false,
  previous: false,
  timestamps: false,
  ...change
})
const read = (machine: PodRuntime["Service"], change: Partial<PodLogQuery> = {}, uid = "u1") =>
  machine.logs(uid, query(change)).pipe(Stream.decodeText, Stream.mkString)
const refusal = (machine: PodRuntime["Service"], change: Partial<PodLogQuery> = {}, uid = "u1") =>
  Effect.map(Effect.flip(read(machine, change, uid)), (error) => `${error.reason}: ${error.message}`)

const talking = Effect.gen(function*() {
  const device = yield* Device
  const runtime = yield* MemoryRuntime
  yield* runtime.script(() => true, { run: prints(["one", "two", "three"], { every: "1 second" }) })
  const machine = yield* device.start
  yield* machine.ensure(pod())
  yield* pass(5)
  return machine
})

describe("logs", () => {
  it.effect("are the bytes the container wrote", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* read(yield* talking), "one\ntwo\nthree\n")
    }).pipe(Effect.provide(Device.layer)))

  it.effect("have nine decimals before each new line where times are asked for", () =>
    Effect.gen(function*() {
      const text = yield* read(yield* talking, { timestamps: true })
      assert.strictEqual(
        text,
        "1970-01-01T00:00:00.000000000Z one\n1970-01-01T00:00:01.000000000Z two\n1970-01-01T00:00:02.000000000Z three\n"
      )
    }).pipe(Effect.provide(Device.layer)))

  it.effect("have one time before a line that was written in pieces", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, {
        run: (process) => Effect.andThen(process.print("par"), Effect.andThen(process.print("tial\n"), Effect.never))
      })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(2)
      assert.strictEqual(yield* read(machine, { timestamps: true }), "1970-01-01T00:00:00.000000000Z partial\n")
    }).pipe(Effect.provide(Device.layer)))

  it.effect.each(
    [
      [{ tailLines: 2 }, "two\nthree\n"],
      [{ tailLines: 0 }, ""],
      [{ limitBytes: 6 }, "one\ntw"],
      [{ sinceTime: 1500 }, "three\n"],
      [{ sinceSeconds: 4 }, "two\nthree\n"],
      [{ tailLines: 2, sinceTime: 1500 }, "three\n"]
    ] as const
  )("%j", ([change, expected]) =>
    Effect.gen(function*() {
      assert.strictEqual(yield* read(yield* talking, change), expected)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("that are followed end with the container, also across lines to come", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, { run: prints(["one", "two"], { every: "2 seconds", then: exits(0) }) })
      const machine = yield* device.start
      yield* machine.ensure(pod({ restartPolicy: "Never" }))
      yield* pass(1)
      const following = yield* Effect.forkChild(read(machine, { follow: true }))
      yield* pass(10)
      assert.strictEqual(yield* Fiber.join(following), "one\ntwo\n")
    }).pipe(Effect.provide(Device.layer)))

  it.effect("of a container in back-off are those of its last run, and of the one before where that is asked for", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, {
        run: (process) => Effect.andThen(process.print(`run ${process.spec.attempt}\n`), exits(1, "1 second")(process))
      })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(5)
      assert.strictEqual(yield* read(machine), "run 1\n")
      assert.strictEqual(yield* read(machine, { previous: true }), "run 1\n")
      yield* pass(7.5)
      assert.strictEqual(yield* read(machine), "run 2\n")
      assert.strictEqual(yield* read(machine, { previous: true }), "run 1\n")
    }).pipe(Effect.provide(Device.layer)))

  it.effect("that there are not are refused in the kubelet's words", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.image("app:1", { refused: new RuntimeError({ reason: "ImageUnavailable", detail: "no" }) })
      yield* runtime.image("slow", { pullTakes: "1 hour" })
      const machine = yield* device.start
      yield* machine.ensure(pod({ containers: [container("app"), container("b"), container("c", { image: "slow" })] }))
      yield* pass(1)
      assert.strictEqual(
        yield* refusal(machine),
        "NotReady: container \"app\" in pod \"web\" is waiting to start: image can't be pulled"
      )
      yield* pass(6)
      assert.strictEqual(
        yield* refusal(machine),
        "NotReady: container \"app\" in pod \"web\" is waiting to start: trying and failing to pull image"
      )
      assert.strictEqual(
        yield* refusal(machine, { container: "c" }),
        "NotReady: container \"c\" in pod \"web\" is waiting to start: ContainerCreating"
      )
      assert.strictEqual(
        yield* refusal(machine, { container: "b", previous: true }),
        "NotReady: previous terminated container \"b\" in pod \"web\" not found"
      )
      assert.strictEqual(
        yield* refusal(machine, { container: "x" }),
        "NotFound: container \"x\" not found in pod \"web\""
      )
      assert.strictEqual(yield* refusal(machine, {}, "u9"), "NotFound: pod \"u9\" does not exist")
    }).pipe(Effect.provide(Device.layer)))
})

describe("exec, attach and port-forward", () => {
  const spec = { command: ["echo", "hello"], stdin: false, stdout: true, stderr: true, tty: false }

  it.effect("reach the attempt that runs now", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, { listens: { 80: ({ write }) => write("hi") } })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(2)
      yield* runtime.crash(() => true, 1)
      yield* pass(2)
      const process = yield* machine.exec("u1", "app", spec)
      const output = yield* Stream.runCollect(process.output)
      assert.strictEqual(output.map(({ bytes }) => new TextDecoder().decode(bytes)).join(""), "hello\n")
      assert.strictEqual(yield* process.exitCode, 0)
      const diary = yield* runtime.diary
      assert.isTrue(diary.some((line) => line.includes("exec default/web/app#1")))
      const connection = yield* machine.dial("u1", 80)
      assert.strictEqual(yield* connection.read.pipe(Stream.decodeText, Stream.mkString), "hi")
    }).pipe(Effect.scoped, Effect.provide(Device.layer)))

  it.effect("are refused where nothing runs", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.script(() => true, { run: exits(0, "1 second") })
      const machine = yield* device.start
      yield* machine.ensure(pod({ restartPolicy: "Never" }))
      yield* pass(5)
      const execError = yield* Effect.flip(machine.exec("u1", "app", spec))
      assert.strictEqual(execError.message, "container not found (\"app\")")
      const attachError = yield* Effect.flip(machine.attach("u1", "nope", spec))
      assert.strictEqual(attachError.message, "container not found (\"nope\")")
      const dialError = yield* Effect.flip(machine.dial("u1", 80))
      assert.strictEqual(dialError.message, "pod not found (\"web_default\")")
    }).pipe(Effect.scoped, Effect.provide(Device.layer)))
})
