/** The README's first command takes its own tour: on plain processes, and on docker where there is one. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { spawn } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { fileURLToPath } from "node:url"
import { startDaemon, untilReady } from "./daemon.ts"
import { startDocker, whyNoDocker } from "./dockerd.ts"
import { minimalEnvironment, processesNaming, runProgram } from "./program.ts"
import { scratch } from "./scratch.ts"

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

/** As a person who tries kubectl for a while and ends it with Ctrl-C. */
const visit = Effect.fnUntraced(function*(args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) {
  const before = foldersOfDemos()
  const logFile = `${yield* scratch}/demo.log`
  const seen = () => readFileSync(logFile, "utf8")
  const demo = yield* startDaemon({ name: "the demo", command: node, args: [main, ...args], env, logFile })
  yield* untilReady(
    demo,
    Effect.suspend(() => seen().includes("Ctrl-C ends everything") ? Effect.void : Effect.fail(new Error("not yet"))),
    "120 seconds"
  )
  process.kill(demo.pid, "SIGINT")
  assert.strictEqual((yield* Effect.flip(demo.ended)).problem, "exited with code 0", seen())
  assert.notInclude(seen(), "left running")
  assert.deepStrictEqual(foldersOfDemos(), before, "nothing is left behind")
  assert.deepStrictEqual(processesNaming("aranya-demo-"), [], "nobody is left running")
}, Effect.scoped)

/** As a person who closes the terminal, and with it whatever showed what the demo says. */
const abandon = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
  const demo = yield* Effect.acquireRelease(
    Effect.sync(() => spawn(node, [main, ...args], { stdio: ["ignore", "pipe", "pipe"], env: minimalEnvironment() })),
    (child) => Effect.sync(() => void child.kill("SIGKILL"))
  )
  const exited = Effect.callback<string>((resume) => {
    const tell = () => resume(Effect.succeed(`exit code ${demo.exitCode}, signal ${demo.signalCode}`))
    if (demo.exitCode !== null || demo.signalCode !== null) return tell()
    demo.once("exit", tell)
  })
  const invited = Effect.callback<string>((resume) => {
    let said = ""
    demo.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text
      if (said.includes("Ctrl-C ends everything")) resume(Effect.succeed(said))
    })
  })
  const said = yield* Effect.raceFirst(invited, exited)
  const folder = /KUBECONFIG=(\S+)\/kubeconfig/u.exec(said)?.[1] ?? assert.fail(said)
  const children = () => processesNaming(folder)
  yield* Effect.addFinalizer(() => Effect.sync(() => children().forEach((pid) => process.kill(pid, "SIGKILL"))))
  assert.isAtLeast(children().length, 3, "control plane, operator and agent")
  demo.stdout.destroy()
  demo.stderr.destroy()
  demo.kill("SIGHUP")
  assert.strictEqual(yield* exited, "exit code 0, signal null")
  assert.deepStrictEqual(children(), [], "nobody is left running")
  assert.isFalse(existsSync(folder), "nothing is left behind")
}, Effect.scoped)

describe("the demo", () => {
  it.live(
    "leaves nothing when its terminal is closed, on plain processes",
    () => abandon(["--runtime", "process"]),
    240_000
  )

  it.live(
    "leaves nothing when it is ended by Ctrl-C, on plain processes",
    () => visit(["--runtime", "process"]),
    240_000
  )

  it.live("leaves nothing when it is ended by Ctrl-C, on docker", () =>
    Effect.gen(function*() {
      const reason = yield* whyNoDocker
      if (Option.isSome(reason)) return console.warn(`SKIPPED the demo on docker: ${reason.value}`)
      const docker = yield* startDocker({ reuse: true })
      yield* visit(["--runtime", "docker"], { DOCKER_HOST: `unix://${docker.socketPath}` })
      const filters = JSON.stringify({ label: ["arhat.dev/device=edge/edge-1"] })
      assert.deepStrictEqual(yield* docker.engine.json("GET", "/containers/json", { query: { all: "1", filters } }), [])
    }).pipe(Effect.scoped), 240_000)

  it.live("passes its own tour on plain processes", () => tour(["--runtime", "process"]), 240_000)

  it.live("passes its own tour on docker", () =>
    Effect.gen(function*() {
      const reason = yield* whyNoDocker
      if (Option.isSome(reason)) return console.warn(`SKIPPED the demo on docker: ${reason.value}`)
      const docker = yield* startDocker({ reuse: true })
      yield* tour(["--runtime", "docker"], { DOCKER_HOST: `unix://${docker.socketPath}` })
    }).pipe(Effect.scoped), 240_000)
})
