/** What a runtime tells of what is there: itself, its images, sandboxes and containers, also to an agent that has restarted. */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Schedule, Stream } from "effect"
import { type Container, ContainerRuntime } from "../../../core/pod/ContainerRuntime.ts"
import { type ContractTest, ensured, launch, printed, reasonOf, sandboxSpec, untilExited } from "../runtimeWorld.ts"

export const standingContract = (test: ContractTest): void => {
  test("names itself", () =>
    Effect.gen(function*() {
      const { info } = yield* ContainerRuntime
      assert.match((yield* info).name, /^[a-z]+$/)
    }))

  test("knows an image it has, and says plainly what is wrong with one it cannot have", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      yield* ensured(world)
      assert.isAbove((yield* runtime.image(world.image)).id.length, 0)
      assert.strictEqual(yield* reasonOf(runtime.image(world.missingImage)), "NotFound")
      assert.include(["ImageUnavailable", "ImageDenied"], yield* reasonOf(runtime.pull(world.missingImage, [])))
      assert.strictEqual(yield* reasonOf(runtime.pull("Not//An Image", [])), "InvalidImageName")
    }))

  test("gives the same ready sandbox when asked twice, and forgets it when removed, twice", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const first = yield* ensured(world)
      assert.isTrue(first.ready)
      assert.isAbove(first.ips.length, 0)
      assert.deepStrictEqual(yield* runtime.ensureSandbox(sandboxSpec(world)), first)
      const mine = runtime.sandboxes(world.uid)
      assert.deepStrictEqual(yield* mine, [first])
      yield* runtime.removeSandbox(first.id)
      yield* runtime.removeSandbox(first.id)
      assert.deepStrictEqual(yield* mine, [])
    }))

  test("finds running and ended containers again after a restart of the agent", (world) =>
    Effect.gen(function*() {
      const { id, sandboxId } = yield* launch(world, { _tag: "Deaf" })
      const ended = yield* launch(world, { _tag: "Exits", code: 3 }, { container: "init" })
      yield* untilExited(ended.id)
      const before = yield* (yield* ContainerRuntime).inspect(id)
      yield* Effect.gen(function*() {
        const restarted = yield* ContainerRuntime
        const found = yield* restarted.containers(world.uid)
        assert.deepStrictEqual(found.map(({ container, state }) => [container, state]).toSorted(), [
          ["app", "running"],
          ["init", "exited"]
        ])
        assert.deepStrictEqual(found.find((container) => container.id === id), before satisfies Container)
        assert.strictEqual((yield* restarted.inspect(ended.id)).exitCode, 3)
        assert.strictEqual((yield* restarted.ensureSandbox(sandboxSpec(world))).id, sandboxId)
        assert.strictEqual(before.namespace, "default")
        assert.strictEqual(before.pod, "web")
        assert.strictEqual(before.uid, world.uid)
        assert.strictEqual(before.attempt, 0)
        assert.strictEqual(before.specHash, "5f3a")
        assert.strictEqual(before.sandboxId, sandboxId)
        assert.strictEqual(before.image, world.image)
        yield* restarted.stop(id, 0)
        assert.strictEqual((yield* restarted.inspect(id)).exitCode, 137)
      }).pipe(Effect.provide(world.runtime, { local: true }))
    }))

  test("lists one pod or all of them", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Forever" })
      assert.deepStrictEqual((yield* runtime.containers(world.uid)).map((container) => container.id), [id])
      assert.deepStrictEqual(yield* runtime.containers(`${world.uid}0`), [])
      assert.include((yield* runtime.containers()).map((container) => container.id), id)
    }))

  test("hints at starts and exits", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      yield* ensured(world)
      const seen = yield* runtime.events.pipe(
        Stream.filter(({ kind, uid }) => uid === world.uid && (kind === "started" || kind === "exited")),
        Stream.takeUntil(({ kind }) => kind === "exited"),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      yield* Effect.sleep("500 millis") // no way to learn that a subscription to an engine is in effect
      const { id } = yield* launch(world, { _tag: "Exits", code: 1 })
      const hints = yield* Effect.timeout(Fiber.join(seen), "10 seconds")
      assert.isTrue(hints.every(({ containerId }) => containerId === id))
      assert.strictEqual(hints.at(-1)?.kind, "exited")
    }))

  test("measures what runs, and no more what has ended", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Counts" })
      yield* printed(id, "1")
      const measured = Effect.flatMap(runtime.usage, (all) => {
        const mine = all.find(({ containerId }) => containerId === id)
        return mine === undefined ? Effect.die(`${id} is not measured`) : Effect.succeed(mine)
      })
      const first = yield* measured
      assert.isAbove(first.memoryUsedBytes, 0)
      assert.isAbove(first.memoryWorkingSetBytes, 0)
      assert.isAtMost(first.memoryWorkingSetBytes, first.memoryUsedBytes)
      // It and the commands that it starts one after the other.
      const grown = yield* measured.pipe(
        Effect.flatMap((usage) =>
          usage.cpuNanoseconds > first.cpuNanoseconds ? Effect.succeed(usage) : Effect.fail("not yet" as const)
        ),
        Effect.retry(Schedule.spaced("200 millis").pipe(Schedule.upTo({ times: 100 })))
      )
      assert.isAtLeast(grown.at, first.at)
      yield* runtime.stop(id, 0)
      assert.isFalse((yield* runtime.usage).some(({ containerId }) => containerId === id))
    }))
}
