/** The README's first command takes its own tour: on plain processes, and on docker where there is one. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { readdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { fileURLToPath } from "node:url"
import { startDocker, whyNoDocker } from "./dockerd.ts"
import { processesNaming, runProgram } from "./program.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const node = `${root}node_modules/.bin/node`
const main = `${root}apps/demo/main.ts`

const foldersOfDemos = () => readdirSync(tmpdir()).filter((name) => name.startsWith("aranya-demo-"))

const tour = Effect.fnUntraced(function*(args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) {
  const before = foldersOfDemos()
  const outcome = yield* runProgram(node, [main, "--check", ...args], { env })
  assert.strictEqual(outcome.exitCode, 0, outcome.stdout + outcome.stderr)
  assert.include(outcome.stdout, "everything as expected")
  assert.deepStrictEqual(foldersOfDemos(), before, "nothing is left behind")
  assert.deepStrictEqual(processesNaming("aranya-demo-"), [], "nobody is left running")
})

describe("the demo", () => {
  it.live("passes its own tour on plain processes", () => tour(["--runtime", "process"]), 240_000)

  it.live("passes its own tour on docker", () =>
    Effect.gen(function*() {
      const reason = yield* whyNoDocker
      if (Option.isSome(reason)) return console.warn(`SKIPPED the demo on docker: ${reason.value}`)
      const docker = yield* startDocker({ reuse: true })
      yield* tour(["--runtime", "docker"], { DOCKER_HOST: `unix://${docker.socketPath}` })
    }).pipe(Effect.scoped), 240_000)
})
