/** What containers have written: each line with its stream and time, from the end, from a moment, followed. */
import { assert } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { ContainerRuntime, type LogChunk } from "../../../core/pod/ContainerRuntime.ts"
import { allLogs, type ContractTest, launch, printed, textOf, untilExited } from "../runtimeWorld.ts"

export const logsContract = (test: ContractTest): void => {
  test("keeps stdout and stderr with the time of each line", (world) =>
    Effect.gen(function*() {
      const { id } = yield* launch(world, { _tag: "Prints", lines: ["one", "two", "three"], complaint: "alas" })
      yield* untilExited(id)
      const chunks = yield* allLogs(id)
      assert.strictEqual(textOf(chunks, "stdout"), "one\ntwo\nthree\n")
      assert.strictEqual(textOf(chunks, "stderr"), "alas\n")
      for (const { time } of chunks) assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/)
      const inspected = yield* (yield* ContainerRuntime).inspect(id)
      for (const { time } of chunks) {
        assert.isAtLeast(Date.parse(time), Math.floor(inspected.startedAt!) - 50)
        assert.isAtMost(Date.parse(time), Math.ceil(inspected.finishedAt!) + 250)
      }
    }))

  test("reads a log from a line counted from the end, or from a moment", (world) =>
    Effect.gen(function*() {
      const { id } = yield* launch(world, { _tag: "Prints", lines: ["one", "two", "three"] })
      const { finishedAt } = yield* untilExited(id)
      assert.strictEqual(textOf(yield* allLogs(id, { tail: 2 })), "two\nthree\n")
      assert.strictEqual(textOf(yield* allLogs(id, { tail: 0 })), "")
      assert.strictEqual(textOf(yield* allLogs(id, { tail: 99 })), "one\ntwo\nthree\n")
      assert.strictEqual(textOf(yield* allLogs(id, { since: finishedAt! - 60_000 })), "one\ntwo\nthree\n")
      assert.strictEqual(textOf(yield* allLogs(id, { since: finishedAt! + 60_000 })), "")
    }))

  test("follows a log until the process ends", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Counts" })
      const following = yield* Effect.forkChild(
        Stream.runCollect(runtime.logs(id, { follow: true })),
        { startImmediately: true }
      )
      yield* printed(id, "3")
      yield* runtime.stop(id, 0)
      const text = textOf(yield* Effect.timeout(Fiber.join(following), "10 seconds"))
      assert.isTrue(text.startsWith("0\n1\n2\n3\n"))
      assert.strictEqual(text, textOf(yield* allLogs(id)))
    }))

  test("never ends a followed log as if it were whole when the container is removed under a slow reader", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const lines = Array.from({ length: 400 }, (_, index) => `${index} ${"x".repeat(200)}`)
      const { id } = yield* launch(world, { _tag: "Prints", lines })
      const begun = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const seen: Array<LogChunk> = []
      const following = yield* Effect.forkChild(
        Effect.exit(Stream.runForEach(runtime.logs(id, { follow: true }), (chunk) => {
          seen.push(chunk)
          return Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(goOn))
        })),
        { startImmediately: true }
      )
      yield* Effect.timeout(Deferred.await(begun), "10 seconds")
      yield* untilExited(id)
      yield* runtime.remove(id)
      yield* Deferred.succeed(goOn, undefined)
      const exit = yield* Effect.timeout(Fiber.join(following), "20 seconds")
      if (Exit.isSuccess(exit)) assert.strictEqual(textOf(seen), lines.map((line) => `${line}\n`).join(""))
    }))

  test("keeps the logs of each attempt apart", (world) =>
    Effect.gen(function*() {
      const first = yield* launch(world, { _tag: "Prints", lines: ["first"] })
      const second = yield* launch(world, { _tag: "Prints", lines: ["second"] }, { attempt: 1 })
      yield* untilExited(first.id)
      yield* untilExited(second.id)
      assert.strictEqual(textOf(yield* allLogs(first.id)), "first\n")
      assert.strictEqual(textOf(yield* allLogs(second.id)), "second\n")
    }))
}
