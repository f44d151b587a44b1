/** Pods of the bare host beside those of an engine, on two runtimes in memory. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Stream } from "effect"
import { ContainerRuntime, type ContainerSpec } from "../../../core/pod/ContainerRuntime.ts"
import { isHostExec, withHostExec } from "../../../core/pod/withHostExec.ts"
import { sandboxSpec, security } from "../../contracts/runtimeWorld.ts"
import { MemoryRuntime } from "../../fakes/MemoryRuntime.ts"
import { forever } from "../../fakes/runtime/Program.ts"

const hostImage = "virtualimage.arhat.dev/hostexec"

const world = Effect.gen(function*() {
  const below = yield* Effect.all([
    Layer.build(Layer.fresh(MemoryRuntime.layer)),
    Layer.build(Layer.fresh(MemoryRuntime.layer))
  ])
  const [engine, host] = below.map((context) => ({
    runtime: Context.get(context, ContainerRuntime),
    memory: Context.get(context, MemoryRuntime)
  }))
  if (engine === undefined || host === undefined) throw new Error("two were built")
  for (const { memory } of [engine, host]) yield* memory.script(() => true, { run: forever })
  return { engine, host, both: withHostExec(engine.runtime, host.runtime) }
})

const spec = (uid: string, sandboxId: string, image: string): ContainerSpec => ({
  uid,
  namespace: "default",
  pod: uid,
  sandboxId,
  container: "app",
  attempt: 0,
  specHash: "5f3a",
  image,
  imageId: image,
  command: [],
  args: [],
  workingDir: "",
  env: [],
  mounts: [],
  resources: { cpuRequest: 0, cpuLimit: 0, memoryRequest: 0, memoryLimit: 0 },
  oomScoreAdj: 1000,
  security,
  stdin: false,
  stdinOnce: false,
  tty: false
})

describe("a pod of hostexec", () => {
  it("is known by its image, whatever the tag", () => {
    for (const image of [hostImage, `${hostImage}:latest`, `${hostImage}:5000`, `${hostImage}@sha256:00`]) {
      assert.isTrue(isHostExec(image), image)
    }
    for (const image of ["busybox", `${hostImage}er`, `${hostImage}/more`, `x/${hostImage}`]) {
      assert.isFalse(isHostExec(image), image)
    }
  })

  it.effect("runs on the host, every other on the engine, and neither is asked for what is the other's", () =>
    Effect.gen(function*() {
      const { both, engine, host } = yield* world
      for (const [uid, image] of [["one", "busybox"], ["two", hostImage]] as const) {
        yield* both.pull(image, [])
        const sandbox = yield* both.ensureSandbox({ ...sandboxSpec({ uid }), hostExec: isHostExec(image) })
        const id = yield* both.create(spec(uid, sandbox.id, image))
        const taken = yield* Effect.flip(both.create(spec(uid, sandbox.id, image)))
        assert.deepStrictEqual([taken.reason, taken.id], ["NameConflict", id])
        yield* both.start(id)
        const found = yield* both.inspect(id)
        assert.deepStrictEqual([found.id, found.sandboxId, found.state], [id, sandbox.id, "running"])
      }
      assert.deepStrictEqual((yield* engine.memory.runs).map(({ uid }) => uid), ["one"])
      assert.deepStrictEqual((yield* host.memory.runs).map(({ uid }) => uid), ["two"])
      const all = yield* both.containers()
      assert.deepStrictEqual(all.map(({ uid }) => uid).toSorted(), ["one", "two"])
      assert.deepStrictEqual((yield* both.containers("two")).map(({ uid }) => uid), ["two"])
      assert.strictEqual((yield* both.usage).length, (yield* engine.runtime.usage).length * 2)
      for (const { id } of all) {
        yield* Stream.runDrain(both.logs(id, { follow: false }))
        yield* both.stop(id, 0)
        assert.strictEqual((yield* both.inspect(id)).state, "exited")
        yield* both.remove(id)
      }
      for (const { id } of yield* both.sandboxes()) yield* both.removeSandbox(id)
      assert.deepStrictEqual([yield* engine.runtime.sandboxes(), yield* host.runtime.sandboxes()], [[], []])
    }).pipe(Effect.scoped))

  it.effect("is seen and ended while the engine does not answer, which hides its own", () =>
    Effect.gen(function*() {
      const { both, engine } = yield* world
      for (const [uid, image] of [["one", "busybox"], ["two", hostImage]] as const) {
        yield* both.pull(image, [])
        const sandbox = yield* both.ensureSandbox({ ...sandboxSpec({ uid }), hostExec: isHostExec(image) })
        yield* both.start(yield* both.create(spec(uid, sandbox.id, image)))
      }
      yield* engine.memory.stopEngine("survive")
      for (const uid of ["one", undefined]) {
        assert.strictEqual((yield* Effect.flip(both.containers(uid))).reason, "Unavailable")
        assert.strictEqual((yield* Effect.flip(both.sandboxes(uid))).reason, "Unavailable")
      }
      for (const { id } of yield* both.containers("two")) {
        yield* both.stop(id, 1)
        yield* both.remove(id)
      }
      for (const { id } of yield* both.sandboxes("two")) yield* both.removeSandbox(id)
      yield* engine.memory.startEngine
      assert.deepStrictEqual((yield* both.containers()).map(({ uid }) => uid), ["one"])
      assert.deepStrictEqual((yield* both.sandboxes()).map(({ uid }) => uid), ["one"])
    }).pipe(Effect.scoped))

  it.effect("is one altogether or not at all", () =>
    Effect.gen(function*() {
      const { both } = yield* world
      const engines = yield* both.ensureSandbox(sandboxSpec({ uid: "one" }))
      const hosts = yield* both.ensureSandbox({ ...sandboxSpec({ uid: "two" }), hostExec: true })
      for (const wrong of [spec("one", engines.id, hostImage), spec("two", hosts.id, "busybox")]) {
        const refused = yield* Effect.flip(both.create(wrong))
        assert.strictEqual(refused.message, `either all containers of a pod have image ${hostImage} or none`)
      }
    }).pipe(Effect.scoped))

  it.effect("has no image where the owner has not allowed it, and says which key does", () =>
    Effect.gen(function*() {
      const { engine } = yield* world
      const alone = withHostExec(engine.runtime, undefined)
      assert.strictEqual((yield* Effect.flip(alone.image(hostImage))).reason, "NotFound")
      const refused = yield* Effect.flip(alone.pull(hostImage, []))
      assert.include(refused.message, "runtime.hostexec.enabled: true in its own configuration allows them")
      yield* alone.pull("busybox", [])
    }).pipe(Effect.scoped))

  it.effect("waits in a sandbox of its own where the owner has not allowed it, and nothing is made in that", () =>
    Effect.gen(function*() {
      const { engine } = yield* world
      const alone = withHostExec(engine.runtime, undefined)
      yield* alone.pull("busybox", [])
      const engines = yield* alone.ensureSandbox(sandboxSpec({ uid: "one" }))
      const waiting = yield* alone.ensureSandbox({ ...sandboxSpec({ uid: "two" }), hostExec: true })
      assert.deepStrictEqual(yield* alone.sandboxes("two"), [waiting])
      assert.deepStrictEqual((yield* alone.sandboxes()).map(({ id }) => id), [waiting.id, engines.id])
      assert.deepStrictEqual(yield* engine.runtime.sandboxes(), [engines])
      for (const sandbox of [waiting, engines]) {
        const refused = yield* Effect.flip(alone.create(spec(sandbox.uid, sandbox.id, hostImage)))
        assert.include(refused.message, "switched off on this device")
      }
      const wrong = yield* Effect.flip(alone.create(spec("two", waiting.id, "busybox")))
      assert.include(wrong.message, "either all containers of a pod")
      yield* alone.create(spec("one", engines.id, "busybox"))
      yield* alone.removeSandbox(waiting.id)
      assert.deepStrictEqual(yield* alone.sandboxes(), [engines])
    }).pipe(Effect.scoped))
})
