/** Worlds for tests of the process runtime: a data folder of their own, on this very machine. */
import { Effect, type Scope } from "effect"
import { execFileSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { copyFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { HOST_EXEC } from "../../../adapters/process/images.ts"
import type { ProcessOptions } from "../../../adapters/process/ProcessOptions.ts"
import * as ProcessRuntime from "../../../adapters/process/ProcessRuntime.ts"
import { isExecutable } from "../../../adapters/process/tools.ts"
import type { ContractWorld } from "../../contracts/runtimeWorld.ts"
import { shellComplaint, shellProgram } from "../../contracts/shellPrograms.ts"
import { freePorts } from "../../e2e/freePorts.ts"

/** Why no process pod can be tested with other users and mounts here, if so. */
export const whyNotRoot = process.getuid?.() === 0 ? undefined : "it needs root (other users, mounts)"

export const BUSYBOX = "/usr/bin/busybox"
export const whyNoImage = whyNotRoot ?? (isExecutable(BUSYBOX) ? undefined : `${BUSYBOX} is not installed`)

export const temporaryFolder = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "aranya-process-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true, maxRetries: 5 }))
)

const GREETER = "const server = require('net').createServer((socket) => socket.end('hello\\n'));" +
  "server.listen(Number(process.argv[1]), '127.0.0.1', () => console.log('listening'))"

/** A root filesystem of busybox alone. */
export const makeBusyboxRoot = async (root: string): Promise<void> => {
  for (const folder of ["bin", "etc", "tmp", "proc", "sys", "dev"]) await mkdir(join(root, folder), { recursive: true })
  await chmod(join(root, "tmp"), 0o1777)
  await copyFile(BUSYBOX, join(root, "bin", "busybox"))
  const applets = execFileSync(BUSYBOX, ["--list"], { encoding: "utf8" }).trim().split("\n")
  for (const applet of applets) {
    if (applet !== "busybox") await symlink("busybox", join(root, "bin", applet))
  }
}

export interface ProcessWorld extends ContractWorld {
  readonly options: ProcessOptions
}

export const openWorld = (
  overrides: Partial<ProcessOptions> & { readonly image?: "busybox" } = {}
): Effect.Effect<ProcessWorld, never, Scope.Scope> =>
  Effect.gen(function*() {
    const folder = yield* temporaryFolder
    const directory = join(folder, "volume")
    const { image, ...rest } = overrides
    yield* Effect.promise(async () => {
      await chmod(folder, 0o755)
      await mkdir(directory)
      await chmod(directory, 0o777)
      await writeFile(join(directory, "greeting"), "hello\n")
      await chmod(join(directory, "greeting"), 0o644)
      if (image === "busybox") await makeBusyboxRoot(join(folder, "busybox"))
    })
    const options: ProcessOptions = {
      enabled: true,
      dataDir: join(folder, "data"),
      allowRoot: true,
      uidRange: { first: 2_000_000, last: 2_000_999 },
      images: image === "busybox" ? { "busybox:test": join(folder, "busybox") } : {},
      ...rest
    }
    const [port = 0] = yield* freePorts(1)
    return {
      options,
      runtime: ProcessRuntime.layer(options),
      image: image === "busybox" ? "busybox:test" : HOST_EXEC,
      missingImage: "registry.test/none:1",
      program: (program) =>
        program._tag !== "Greets" ? shellProgram(program) : image === "busybox"
          ? {
            command: ["sh", "-c", "echo listening; while :; do echo hello | nc -l -p \"$1\" 127.0.0.1; done", "sh"],
            args: [`${program.port}`]
          }
          : { command: [process.execPath, "-e", GREETER], args: [`${program.port}`] },
      complains: shellComplaint,
      terminals: isExecutable("/usr/bin/script"),
      directory,
      mountTarget: image === "busybox" ? "/etc/with space;$(id)" : join(folder, "with space;$(id)"),
      port,
      uid: randomUUID()
    }
  })
