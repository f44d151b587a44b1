import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Logger, Stream } from "effect"
import { execFileSync } from "node:child_process"
import { loggingDefects } from "../../../apps/shared/loggingDefects.ts"

/** Runs it with the logging of defects, and gives what was logged. */
const logOf = Effect.fnUntraced(function*<A, E>(program: Effect.Effect<A, E>) {
  const logged: Array<string> = []
  yield* loggingDefects(program).pipe(
    Effect.exit,
    Effect.andThen(Effect.yieldNow),
    Effect.provide(Logger.layer([
      Logger.make(({ cause, logLevel }) => void logged.push(`${logLevel} ${Cause.pretty(cause)}`))
    ]))
  )
  return logged
})

const fault = Effect.suspend((): Effect.Effect<never> => {
  throw new Error("a fault")
})

describe("a fiber that dies of a defect", () => {
  it.effect("is told of in the log where nobody waits for it", () =>
    Effect.gen(function*() {
      const logged = yield* logOf(
        Effect.scoped(Effect.andThen(
          Effect.forkScoped(Stream.runForEach(Stream.make(1), () => fault)),
          Effect.yieldNow
        ))
      )
      assert.lengthOf(logged, 1)
      assert.match(logged[0] ?? "", /^Error .*a fault/u)
    }))

  it.effect("is told of once, however many wait for it", () =>
    Effect.gen(function*() {
      const waiting = Effect.flatMap(Effect.forkChild(fault), Fiber.join)
      assert.lengthOf(yield* logOf(Effect.all([waiting, Effect.never], { concurrency: 2 })), 1)
    }))

  it.effect("is not what was interrupted, or has failed as foreseen", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* logOf(Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(Effect.never)
          yield* Fiber.interrupt(fiber)
          yield* Effect.exit(Fiber.join(yield* Effect.forkChild(Effect.fail("no"))))
        })),
        []
      )
    }))

  it("is told of by the programs that are shipped", () => {
    const program = `
      import { Effect, Fiber } from "effect"
      import { runProgram } from "${import.meta.resolve("../../../apps/shared/runProgram.ts")}"
      runProgram(Effect.flatMap(Effect.forkChild(Effect.die(new Error("a fault"))), Fiber.await))`
    const said = execFileSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" })
    assert.include(said, "internal error")
    assert.include(said, "a fault")
  })
})
