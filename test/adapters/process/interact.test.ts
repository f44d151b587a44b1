/** Commands run beside a container's own. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { runCommand } from "../../../adapters/process/interact.ts"

const exitCode = (script: string) =>
  Effect.gen(function*() {
    const command = yield* runCommand(["/bin/sh", "-c", script], {}, {
      stdin: false,
      stdout: true,
      stderr: true,
      tty: false
    })
    yield* Stream.runDrain(command.output)
    return yield* command.exitCode
  }).pipe(Effect.scoped)

describe("a command", () => {
  it.live("that a signal ended has the exit code that a shell gives it", () =>
    Effect.gen(function*() {
      const ended = { HUP: 129, TRAP: 133, BUS: 135, FPE: 136, KILL: 137, USR1: 138, ALRM: 142, TERM: 143, SYS: 159 }
      for (const [name, code] of Object.entries(ended)) {
        assert.strictEqual(yield* exitCode(`ulimit -c 0; kill -${name} $$`), code, name)
      }
      assert.strictEqual(yield* exitCode("exit 41"), 41)
    }))
})
