/** What both programs have in common, as who starts them sees it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { stringify } from "yaml"
import { version } from "../../apps/shared/version.ts"
import { documented } from "./badInput/sentences.ts"
import { runProgram } from "./program.ts"
import { scratch } from "./scratch.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const run = (program: string, ...args: ReadonlyArray<string>) =>
  runProgram(process.execPath, [`${root}apps/${program}/main.ts`, ...args])

/** A configuration that is good but for where the log goes; that no cluster and no runtime is there comes out later. */
const logsTo = (program: string, folder: string, file: string) =>
  program === "aranya" ? { aranya: { log: [{ file }] } } : {
    arhat: { device: "edge-1", dataDir: `${folder}/data`, log: [{ file }] },
    connectivity: {
      operatorKey: Buffer.alloc(32, 9).toString("base64"),
      methods: [{ name: "grpc", config: { endpoint: "aranya.example.com:8443" } }]
    },
    runtime: { docker: { enabled: false } }
  }

describe.each(["aranya", "arhat"])("%s", (program) => {
  it.live("offers no flag that changes nothing", () =>
    Effect.gen(function*() {
      const { exitCode, stdout } = yield* run(program, "run", "--help")
      assert.strictEqual(exitCode, 0)
      assert.include(stdout, "--config")
      assert.notInclude(stdout, "--log-level")
    }))

  it.live("says once what is wrong with its command line, and shows how it should be", () =>
    Effect.gen(function*() {
      const misspelt = yield* run(program, "rnu")
      assert.strictEqual(misspelt.exitCode, 1)
      assert.include(misspelt.stdout, "SUBCOMMANDS")
      assert.match(
        misspelt.stderr,
        /^\s*ERROR\n {2}Unknown subcommand "rnu" .*\n\n {2}Did you mean this\?\n {4}run\n$/u
      )
      const bare = yield* run(program)
      assert.strictEqual(bare.exitCode, 1)
      assert.include(bare.stdout, "SUBCOMMANDS")
      assert.strictEqual(bare.stderr, `error: ${program} needs a subcommand: ${program} --help lists them\n`)
    }))

  it.live("says in a sentence that its log file cannot be opened", () =>
    Effect.gen(function*() {
      const folder = yield* scratch
      writeFileSync(`${folder}/config.yaml`, stringify(logsTo(program, folder, `${folder}/nowhere/log`)))
      const { exitCode, stderr } = yield* run(program, "run", "-c", `${folder}/config.yaml`)
      assert.strictEqual(exitCode, 1)
      assert.strictEqual(
        stderr,
        documented("error: the log file cannot be opened: ENOENT: no such file or directory, open ")
          + `'${folder}/nowhere/log'\n`
      )
    }).pipe(Effect.scoped))

  it.live("logs from its first line on as it is told, and says nothing anywhere else", () =>
    Effect.gen(function*() {
      const folder = yield* scratch
      writeFileSync(`${folder}/config.yaml`, stringify(logsTo(program, folder, "stderr")))
      const { stderr, stdout } = yield* run(program, "run", "-c", `${folder}/config.yaml`)
      assert.strictEqual(stdout, "")
      const first = JSON.parse(stderr.split("\n")[0] ?? "")
      assert.strictEqual(first.level, "info")
      assert.isTrue(first.msg.startsWith(`${program} ${version} `), first.msg)
    }).pipe(Effect.scoped))
})
