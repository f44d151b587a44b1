/** What a program finds when it starts: its arguments, environment and mounted files, as they were given. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { ContainerRuntime } from "../../../core/pod/ContainerRuntime.ts"
import { allLogs, type ContractTest, launch, textOf, untilExited } from "../runtimeWorld.ts"

export const surroundingsContract = (test: ContractTest): void => {
  test("gives arguments and environment as they are, never to a shell", (world) =>
    Effect.gen(function*() {
      const nasty = [
        "$(id)",
        "`id`",
        "a;b",
        "a b",
        "'",
        "\"",
        "*",
        "",
        "$HOME",
        "-n",
        "é\u{1F600}",
        "back\\slash",
        "a\nb"
      ]
      const { id } = yield* launch(world, { _tag: "Arguments", args: nasty })
      yield* untilExited(id)
      assert.strictEqual(textOf(yield* allLogs(id)), nasty.map((arg) => `${arg}\n`).join(""))
      const value = "a'b\"c $(id) `id` \\ ; & | \n second = line é"
      const shown = yield* launch(world, { _tag: "Environment", name: "GREETING" }, {
        attempt: 1,
        env: [{ name: "GREETING", value }, { name: "OTHER", value: "x" }]
      })
      yield* untilExited(shown.id)
      assert.strictEqual(textOf(yield* allLogs(shown.id)), `${value}\n`)
    }))

  test("shows files of the host where they are mounted, read-only ones protected", (world) =>
    Effect.gen(function*() {
      const source = world.directory
      if (source === undefined) {
        const { name } = yield* (yield* ContainerRuntime).info
        return yield* Effect.logInfo(`${name} has no host: nothing to mount`)
      }
      const mounted = { source, target: world.mountTarget ?? "/etc/with space;$(id)", readOnly: true }
      const path = `${mounted.target}/greeting`
      const { id } = yield* launch(world, { _tag: "File", path }, { mounts: [mounted] })
      yield* untilExited(id)
      assert.strictEqual(textOf(yield* allLogs(id)), "hello\n")
      for (const [attempt, readOnly] of [[1, true], [2, false]] as const) {
        const written = yield* launch(world, { _tag: "Writes", path: `${mounted.target}/new` }, {
          attempt,
          mounts: [{ ...mounted, readOnly }]
        })
        yield* untilExited(written.id)
        assert.strictEqual(textOf(yield* allLogs(written.id), "stdout"), readOnly ? "refused\n" : "written\n")
      }
    }))
}
