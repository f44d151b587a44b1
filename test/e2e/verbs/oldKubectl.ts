/** The kubectl of the generation that speaks SPDY alone: Debian's kubernetes-client 1.20, unpacked beside the machine's own. */
import { Effect } from "effect"
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs"
import { homedir, tmpdir } from "node:os"
import { join } from "node:path"
import { isExecutable, ProgramFailed, runProgram } from "../program.ts"

const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "aranya", "kubectl-1.20")

const unpack = Effect.fnUntraced(function*(folder: string) {
  const env = { HOME: folder, PWD: folder }
  const inFolder = (...command: ReadonlyArray<string>) =>
    runProgram("sh", ["-c", "cd \"$0\" && exec \"$@\"", folder, ...command], { env })
  const fetched = yield* inFolder("apt-get", "download", "-q", "kubernetes-client")
  const archive = readdirSync(folder).find((name) => name.startsWith("kubernetes-client_1.20"))
  if (fetched.exitCode !== 0 || archive === undefined) {
    const problem = `gives no kubernetes-client 1.20: ${fetched.stderr.trim().slice(-300)}`
    return yield* new ProgramFailed({ command: "apt-get download", problem })
  }
  const unpacked = yield* inFolder("dpkg", "-x", archive, "unpacked")
  if (unpacked.exitCode !== 0) return yield* new ProgramFailed({ command: "dpkg -x", problem: unpacked.stderr.trim() })
  mkdirSync(cache, { recursive: true })
  // Never seen half written.
  copyFileSync(join(folder, "unpacked/usr/bin/kubectl"), join(cache, "kubectl.new"))
  renameSync(join(cache, "kubectl.new"), join(cache, "kubectl"))
})

/** Its path; fetched once. Fails with a sentence where this machine cannot have it. */
export const oldKubectl = Effect.gen(function*() {
  const path = join(cache, "kubectl")
  if (!isExecutable(path)) {
    yield* Effect.acquireUseRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "kubernetes-client-"))),
      unpack,
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
    )
  }
  return path
})
