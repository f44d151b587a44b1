import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Random, Stream } from "effect"
import { TestClock } from "effect/testing"
import { ContainerRuntime, type ContainerSpec, RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import { containerRuntimeContract } from "../contracts/containerRuntime.ts"
import { containerSpec, type ContractProgram, type ContractWorld, sandboxSpec } from "../contracts/runtimeWorld.ts"
import { simulate } from "../simulation/VirtualTime.ts"
import { MemoryRuntime } from "./MemoryRuntime.ts"
import {
  answersHttp,
  crashes,
  echoes,
  exits,
  outOfMemory,
  prints,
  type Script,
  standardCommands
} from "./runtime/Program.ts"

const scriptOf = (program: ContractProgram, spec: ContainerSpec): Partial<Script> => {
  switch (program._tag) {
    case "Forever":
      return {}
    case "Polite":
      return { run: prints(["ready"]), onTerm: { after: 0, code: 0 } }
    case "Deaf":
      return { run: prints(["ready"]), onTerm: "ignored" }
    case "Exits":
      return { run: exits(program.code) }
    case "Prints":
      return {
        run: (surroundings) =>
          Effect.andThen(
            program.complaint === undefined ? Effect.void : surroundings.print(`${program.complaint}\n`, "stderr"),
            prints(program.lines, { then: exits(0) })(surroundings)
          )
      }
    case "Counts":
      return { run: prints(Array.from({ length: 1000 }, (_, n) => `${n}`), { every: "100 millis" }) }
    case "Echoes":
      return { run: echoes }
    case "Greets":
      return { run: prints(["listening"]), listens: { [program.port]: ({ write }) => write("hello\n") } }
    case "Arguments":
      return { run: prints(program.args, { then: exits(0) }) }
    case "Environment":
      return {
        run: prints([spec.env.find(({ name }) => name === program.name)?.value ?? ""], { then: exits(0) })
      }
    case "File":
    case "Writes":
      return {}
    case "NoSuchCommand":
      return { startFails: "exec: \"there-is-no-such-command\": executable file not found in $PATH" }
  }
}

const complaining: Script["exec"] = (command, surroundings) =>
  command[0] === "complain"
    ? Effect.as(surroundings.print(`${command[1]}\n`, "stderr"), Number(command[2]))
    : standardCommands(command, surroundings)

const world = Effect.gen(function*() {
  const runtime = yield* ContainerRuntime
  const controls = yield* MemoryRuntime
  const missingImage = "registry.test/none:1"
  yield* controls.image(missingImage, {
    refused: new RuntimeError({ reason: "ImageUnavailable", detail: "no such image" })
  })
  yield* controls.script(() => true, (spec) => ({
    ...scriptOf(JSON.parse(spec.args[0] ?? "{}"), spec),
    exec: complaining
  }))
  return {
    runtime: Layer.succeed(ContainerRuntime, runtime),
    image: "contract:1",
    missingImage,
    program: (program) => ({ command: ["contract"], args: [JSON.stringify(program)] }),
    complains: (text, code) => ["complain", text, `${code}`],
    port: 8080,
    uid: "0e3f"
  } satisfies ContractWorld as ContractWorld
})

containerRuntimeContract(
  "memory",
  Effect.flatMap(Layer.build(Layer.fresh(MemoryRuntime.layer)), (context) => Effect.provide(world, context))
)

const started = Effect.fnUntraced(function*(overrides: Partial<ContainerSpec> = {}) {
  const runtime = yield* ContainerRuntime
  const described = yield* world
  yield* runtime.pull(described.image, [])
  const sandbox = yield* runtime.ensureSandbox(sandboxSpec(described))
  const id = yield* runtime.create(containerSpec(described, sandbox.id, { _tag: "Forever" }, overrides))
  return { id, sandboxId: sandbox.id, described, runtime, controls: yield* MemoryRuntime }
})

const unavailable = Effect.fnUntraced(function*<A>(call: Effect.Effect<A, RuntimeError>) {
  assert.strictEqual((yield* Effect.flip(call)).reason, "Unavailable")
})

describe("The in-memory runtime's controls", () => {
  it.effect("a lost answer means that the start happened all the same", () =>
    Effect.gen(function*() {
      const { controls, id, runtime } = yield* started()
      yield* controls.fault("start", { _tag: "Lost" })
      yield* unavailable(runtime.start(id))
      assert.strictEqual((yield* runtime.inspect(id)).state, "running")
      assert.strictEqual((yield* controls.runs).length, 1)
    }).pipe(Effect.provide(MemoryRuntime.layer)))

  it.effect("a late start happens after its caller was told that it failed", () =>
    Effect.gen(function*() {
      const { controls, id, runtime } = yield* started()
      yield* controls.fault("start", { _tag: "Late", after: "3 seconds" })
      yield* unavailable(runtime.start(id))
      assert.strictEqual((yield* runtime.inspect(id)).state, "created")
      yield* TestClock.adjust("3 seconds")
      const { startedAt, state } = yield* runtime.inspect(id)
      assert.deepStrictEqual([state, startedAt], ["running", 3000])
    }).pipe(Effect.provide(MemoryRuntime.layer)))

  it.effect("a call that hangs leaves its caller waiting and nothing changed", () =>
    Effect.gen(function*() {
      const { controls, id, runtime } = yield* started()
      yield* controls.fault("start", { _tag: "Hangs" }, { where: (subject) => subject === "default/web/app#0" })
      const waiting = yield* Effect.forkChild(Effect.timeout(runtime.start(id), "1 minute"), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Effect.flip(Fiber.join(waiting)))._tag, "TimeoutError")
      assert.strictEqual((yield* runtime.inspect(id)).state, "created")
    }).pipe(Effect.provide(MemoryRuntime.layer)))

  it.effect("a caller that gives up does not undo what the engine was asked for", () =>
    Effect.gen(function*() {
      const { controls, id, runtime } = yield* started()
      yield* controls.fault("start", { _tag: "Slow", by: "2 seconds" })
      const waiting = yield* Effect.forkChild(runtime.start(id), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(waiting)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* runtime.inspect(id)).state, "running")
    }).pipe(Effect.provide(MemoryRuntime.layer)))

  it.effect("crashes as often as told, then runs", () =>
    Effect.gen(function*() {
      const { controls, described, runtime, sandboxId } = yield* started()
      yield* controls.script(() => true, { run: crashes(2, { code: 7, after: "1 second" }) })
      for (const [attempt, state] of [[1, "exited"], [2, "running"]] as const) {
        const id = yield* runtime.create(
          containerSpec(described, sandboxId, { _tag: "Forever" }, { attempt, container: "crashing" })
        )
        yield* runtime.start(id)
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* runtime.inspect(id)).state, state)
      }
      assert.deepStrictEqual((yield* controls.runs).map(({ attempt, exitCode }) => [attempt, exitCode]), [
        [1, 7],
        [2, undefined]
      ])
    }).pipe(Effect.provide(MemoryRuntime.layer)))

  it.effect("tells a process killed for its memory", () =>
    Effect.gen(function*() {
      const { controls, described, runtime, sandboxId } = yield* started()
      const spec = { ...containerSpec(described, sandboxId, { _tag: "Forever" }), container: "greedy" }
      yield* controls.script(({ container }) => container === "greedy", { run: outOfMemory("5 seconds") })
      const id = yield* runtime.create(spec)
      yield* runtime.start(id)
      yield* TestClock.adjust("5 seconds")
      const { exitCode, finishedAt, oomKilled } = yield* runtime.inspect(id)
      assert.deepStrictEqual([exitCode, finishedAt, oomKilled], [137, 5000, true])
    }).pipe(Effect.provide(MemoryRuntime.layer)))

  it.effect("after a power cut what ran is ended, and after a worse one nothing is left", () =>
    Effect.gen(function*() {
      const { controls, id, runtime } = yield* started()
      yield* runtime.start(id)
      yield* controls.powerOff("exited")
      yield* unavailable(runtime.inspect(id))
      yield* controls.startEngine
      assert.strictEqual((yield* runtime.inspect(id)).state, "exited")
      assert.isFalse((yield* runtime.sandboxes())[0]?.ready)
      yield* controls.reboot("gone")
      assert.deepStrictEqual(yield* runtime.containers(), [])
      assert.deepStrictEqual(yield* runtime.sandboxes(), [])
      assert.strictEqual((yield* Effect.flip(runtime.image("contract:1"))).reason, "NotFound")
    }).pipe(Effect.provide(MemoryRuntime.layer)))

  it.effect("processes survive an engine that restarts with them, or die with 137", () =>
    Effect.gen(function*() {
      const { controls, id, runtime } = yield* started()
      yield* runtime.start(id)
      yield* controls.stopEngine("survive")
      yield* unavailable(runtime.start(id))
      yield* controls.startEngine
      assert.strictEqual((yield* runtime.inspect(id)).state, "running")
      yield* controls.stopEngine("killed")
      yield* controls.startEngine
      assert.strictEqual((yield* runtime.inspect(id)).exitCode, 137)
    }).pipe(Effect.provide(MemoryRuntime.layer)))

  it.effect("refuses a pull without the right password", () =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      yield* (yield* MemoryRuntime).image("private:1", { password: "open sesame" })
      const credential = { registry: "registry.test", username: "me", password: "open sesame" }
      assert.strictEqual((yield* Effect.flip(runtime.pull("private:1", []))).reason, "ImageDenied")
      assert.strictEqual((yield* runtime.pull("private:1", [credential])).id, "sha256:private:1")
    }).pipe(Effect.provide(MemoryRuntime.layer)))

  it.effect("answers HTTP on a port, by what the test says at that moment", () =>
    Effect.gen(function*() {
      const { controls, described, runtime, sandboxId } = yield* started()
      let status = 503
      const spec = { ...containerSpec(described, sandboxId, { _tag: "Forever" }), container: "site" }
      yield* controls.script(({ container }) => container === "site", {
        listens: { 80: answersHttp(() => Effect.sync(() => ({ status, body: "well" }))) }
      })
      yield* runtime.start(yield* runtime.create(spec))
      const answer = Effect.scoped(Effect.gen(function*() {
        const connection = yield* runtime.dial(sandboxId, 80)
        yield* connection.write(new TextEncoder().encode("GET / HTTP/1.1\r\nhost: x\r\n\r\n"))
        return yield* Stream.mkString(Stream.decodeText(connection.read))
      }))
      assert.match(yield* answer, /^HTTP\/1.1 503 /)
      status = 200
      assert.match(yield* answer, /^HTTP\/1.1 200 [^]*well$/)
    }).pipe(Effect.provide(MemoryRuntime.layer)))

  it.effect("writes down each call with its time and fault", () =>
    Effect.gen(function*() {
      const { controls, id, runtime } = yield* started()
      yield* TestClock.adjust("2 seconds")
      yield* controls.fault("start", { _tag: "Fails" })
      yield* Effect.ignore(runtime.start(id))
      yield* runtime.start(id)
      yield* runtime.stop(id, 30)
      assert.deepStrictEqual((yield* controls.diary).slice(-5), [
        "0s ensureSandbox default/web#0",
        "0s create default/web/app#0",
        "2s start default/web/app#0 (Fails)",
        "2s start default/web/app#0",
        "2s stop default/web/app#0 30s"
      ])
    }).pipe(Effect.provide(MemoryRuntime.layer)))

  it.live("draws its weather and latency from the seed alone", () =>
    Effect.gen(function*() {
      const story = Effect.gen(function*() {
        const { controls, id, runtime } = yield* started()
        yield* controls.weather(() =>
          Effect.map(Random.nextBoolean, (bad) => (bad ? { _tag: "Lost" as const } : undefined))
        )
        const calls = Effect.all([
          Effect.ignore(runtime.start(id)),
          Effect.ignore(runtime.inspect(id)),
          Effect.ignore(runtime.stop(id, 5))
        ])
        yield* Effect.repeat(calls, { times: 10 })
        return (yield* controls.diary).join("\n")
      }).pipe(
        Effect.provide(MemoryRuntime.layerWith({ latency: { least: "1 millis", most: "2 seconds" } }), { local: true })
      )
      const first = yield* simulate(7, () => story)
      assert.include(first, "(Lost)")
      assert.strictEqual(yield* simulate(7, () => story), first)
      assert.notStrictEqual(yield* simulate(8, () => story), first)
    }))
})
