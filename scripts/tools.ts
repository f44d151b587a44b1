/** Where the native tools lie that npm brings as platform packages, and one way to run them. */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const at = (path: string) => `${root}node_modules/${path}`

export const tools = {
  tsc: at(".bin/tsc"),
  /** TypeScript with Effect's own rules built in. */
  tsgo: at("@effect/tsgo-linux-x64/lib/tsc"),
  dprint: at("@dprint/linux-x64-glibc/dprint"),
  buf: at("@bufbuild/buf-linux-x64/bin/buf"),
  vitest: at(".bin/vitest")
}

/** Runs a command in the project's root, output passed through; true when it succeeded. */
export const run = (command: string, args: ReadonlyArray<string>): boolean =>
  spawnSync(command, args, { stdio: "inherit", cwd: root }).status === 0
