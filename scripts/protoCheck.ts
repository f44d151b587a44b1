/** `buf lint`, then `buf breaking` against the commit before: what is spoken and stored stays readable. */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { run, tools } from "./tools.ts"

const base = process.env["PROTO_BASE"] ?? "HEAD~1"

/** Whether the base has contracts at all; a first commit and a shallow clone have none to break. */
const comparable = (): boolean =>
  spawnSync("git", ["cat-file", "-e", `${base}:proto`], { stdio: "ignore" }).status === 0

if (!existsSync(tools.buf)) {
  console.warn("proto: skipped, buf has no build for this platform")
} else if (!run(tools.buf, ["lint"])) {
  process.exitCode = 1
} else if (!comparable()) {
  console.warn(`proto: nothing to compare with, ${base} has no contracts`)
} else if (!run(tools.buf, ["breaking", "--against", `.git#ref=${base}`])) {
  console.error(`proto: a contract changed incompatibly since ${base}; reserve the old fields instead`)
  process.exitCode = 1
}
