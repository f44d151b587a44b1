/** Runs the real kubectl against an embedded control plane, with a home and a discovery cache of its own. */
import { Effect } from "effect"
import { execFileSync, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type EmbeddedOptions, startEmbedded } from "../../../../adapters/kube/plane/server/startEmbedded.ts"

export const kubectlPath = process.env["KUBECTL"] ?? "kubectl"

/** Why the tests cannot run; undefined if they can. */
export const kubectlMissing: string | undefined = (() => {
  try {
    execFileSync(kubectlPath, ["version", "--client"], { stdio: "pipe" })
    return undefined
  } catch {
    return `no kubectl found (looked for ${kubectlPath}; set KUBECTL)`
  }
})()

export interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Long enough for a loaded machine, short enough to say that something hangs. */
const patience = 30_000

export const makeKubectl = (options: EmbeddedOptions = {}) =>
  Effect.gen(function*() {
    const embedded = yield* startEmbedded(options)
    const home = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "plane-"))),
      (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
    )
    const config = join(home, "kubeconfig")
    writeFileSync(config, embedded.adminKubeconfigYaml)

    const run = (args: ReadonlyArray<string>, input = "") =>
      Effect.callback<Outcome>((resume) => {
        const child = spawn(kubectlPath, [`--cache-dir=${join(home, "cache")}`, ...args], {
          env: { PATH: process.env["PATH"], HOME: home, KUBECONFIG: config, TZ: "UTC" }
        })
        let out = ""
        let err = ""
        child.stdout.on("data", (chunk: Buffer) => out += chunk.toString())
        child.stderr.on("data", (chunk: Buffer) => err += chunk.toString())
        child.stdin.on("error", () => {})
        child.stdin.end(input)
        const timer = setTimeout(() => child.kill("SIGKILL"), patience)
        child.on("close", (code) => {
          clearTimeout(timer)
          resume(Effect.succeed({ code: code ?? -1, out, err }))
        })
        return Effect.sync(() => {
          clearTimeout(timer)
          child.kill("SIGKILL")
        })
      })

    return { embedded, run, home, config }
  })
