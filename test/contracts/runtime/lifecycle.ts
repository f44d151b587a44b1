/** What a container goes through, from created over running to exited and away. */
import { assert } from "@effect/vitest"
import { Duration, Effect, Fiber, Stream } from "effect"
import { ContainerRuntime } from "../../../core/pod/ContainerRuntime.ts"
import {
  allLogs,
  containerSpec,
  type ContractTest,
  ensured,
  launch,
  printed,
  reasonOf,
  textOf,
  untilExited
} from "../runtimeWorld.ts"

export const lifecycleContract = (test: ContractTest): void => {
  test("leads a container from created over running to exited and away", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const id = yield* runtime.create(containerSpec(world, sandbox.id, { _tag: "Polite" }))
      const created = yield* runtime.inspect(id)
      assert.strictEqual(created.state, "created")
      assert.isFalse("startedAt" in created || "finishedAt" in created || "exitCode" in created)
      yield* runtime.start(id)
      const running = yield* runtime.inspect(id)
      assert.strictEqual(running.state, "running")
      assert.isAtLeast(running.startedAt!, Math.floor(created.createdAt))
      assert.isFalse("finishedAt" in running || "exitCode" in running)
      yield* printed(id, "ready")
      yield* runtime.stop(id, 20)
      const exited = yield* runtime.inspect(id)
      assert.strictEqual(exited.state, "exited")
      assert.strictEqual(exited.exitCode, 0)
      assert.isAtLeast(exited.finishedAt!, exited.startedAt!)
      assert.isFalse(exited.oomKilled)
      yield* runtime.remove(id)
      assert.strictEqual(yield* reasonOf(runtime.inspect(id)), "NotFound")
      assert.deepStrictEqual(yield* runtime.containers(world.uid), [])
    }))

  test("tells the true exit code, the whole range of it", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const codes = [0, 1, 2, 42, 126, 127, 128, 130, 143, 255]
      for (const [attempt, code] of codes.entries()) {
        const id = yield* runtime.create(containerSpec(world, sandbox.id, { _tag: "Exits", code }, { attempt }))
        yield* runtime.start(id)
        assert.strictEqual((yield* untilExited(id)).exitCode, code)
      }
      assert.strictEqual((yield* runtime.containers(world.uid)).length, codes.length)
    }))

  test("refuses a taken name and tells who holds it", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const spec = containerSpec(world, sandbox.id, { _tag: "Forever" })
      const id = yield* runtime.create(spec)
      const conflict = yield* Effect.flip(runtime.create({ ...spec, specHash: "other" }))
      assert.strictEqual(conflict.reason, "NameConflict")
      assert.strictEqual(conflict.id, id)
      assert.strictEqual((yield* runtime.inspect(id)).specHash, spec.specHash)
      assert.notStrictEqual(yield* runtime.create({ ...spec, attempt: 1 }), id)
      assert.notStrictEqual(yield* runtime.create({ ...spec, container: "other" }), id)
    }))

  test("starts a container once, whether it runs or has ended", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Prints", lines: ["once"] })
      yield* untilExited(id)
      assert.strictEqual(yield* reasonOf(runtime.start(id)), "Invalid")
      assert.strictEqual(textOf(yield* allLogs(id)), "once\n")
      const running = yield* launch(world, { _tag: "Forever" }, { attempt: 1 })
      assert.strictEqual(yield* reasonOf(runtime.start(running.id)), "Invalid")
    }))

  test("says why a process could not be started", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const id = yield* runtime.create(containerSpec(world, sandbox.id, { _tag: "NoSuchCommand" }))
      const error = yield* Effect.flip(runtime.start(id))
      assert.strictEqual(error.reason, "StartFailed")
      assert.isAbove(error.message.length, 10)
      assert.notStrictEqual((yield* runtime.inspect(id)).state, "running")
      yield* runtime.remove(id)
    }))

  test("kills what ignores SIGTERM once the grace is over, not before", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Deaf" })
      yield* printed(id, "ready")
      const [took] = yield* Effect.timed(runtime.stop(id, 1))
      assert.isAtLeast(Duration.toMillis(took), 900)
      const exited = yield* runtime.inspect(id)
      assert.strictEqual(exited.state, "exited")
      assert.strictEqual(exited.exitCode, 137)
    }))

  test("shortens the grace of a stop under way", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Deaf" })
      yield* printed(id, "ready")
      const slow = yield* Effect.forkChild(runtime.stop(id, 300), { startImmediately: true })
      yield* runtime.stop(id, 0)
      yield* Effect.timeout(Fiber.join(slow), "10 seconds")
      assert.strictEqual((yield* runtime.inspect(id)).state, "exited")
    }))

  test("takes stopping and removing what is gone for success, and removing what runs for a mistake", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Forever" })
      assert.strictEqual(yield* reasonOf(runtime.remove(id)), "Invalid")
      assert.strictEqual((yield* runtime.inspect(id)).state, "running")
      yield* runtime.stop(id, 0)
      yield* runtime.stop(id, 0)
      yield* runtime.remove(id)
      yield* runtime.remove(id)
      yield* runtime.stop(id, 0)
      assert.strictEqual(yield* reasonOf(runtime.start(id)), "NotFound")
      assert.strictEqual(yield* reasonOf(Stream.runDrain(runtime.logs(id, { follow: true }))), "NotFound")
      assert.strictEqual(
        yield* reasonOf(
          Effect.scoped(
            runtime.exec(id, { command: ["true"], stdin: false, stdout: true, stderr: true, tty: false })
          )
        ),
        "NotFound"
      )
    }))
}
