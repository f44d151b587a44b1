/** A device whose root is a folder of its own, reached as its host pod would reach it. */
import { Effect, type Layer, Stream } from "effect"
import { mkdir } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import type { Confinement } from "../../../../adapters/process/host/confinement.ts"
import * as ProcessHostAccess from "../../../../adapters/process/host/ProcessHostAccess.ts"
import type { CopyCommand } from "../../../../core/agent/host/copyCommand.ts"
import { HostAccess, nothingAllowed } from "../../../../core/agent/host/HostAccess.ts"
import type { ProcessStreams } from "../../../../core/pod/ContainerRuntime.ts"
import { temporaryFolder } from "../processWorld.ts"

const copyProgram = [process.execPath, fileURLToPath(new URL("copyProgram.ts", import.meta.url))]

export interface Said {
  readonly stdout: Buffer
  readonly stderr: string
  readonly exitCode: number
}

/** All that a process says; what it reads is given as it takes it. */
export const talk = Effect.fnUntraced(function*(process: ProcessStreams, input?: Uint8Array) {
  yield* Effect.gen(function*() {
    const bytes = input ?? new Uint8Array()
    for (let at = 0; at < bytes.length; at += 65_536) yield* process.stdin(bytes.subarray(at, at + 65_536))
    yield* process.endStdin
  }).pipe(Effect.forkScoped)
  const parts: { readonly stdout: Array<Uint8Array>; readonly stderr: Array<Uint8Array> } = { stdout: [], stderr: [] }
  yield* Stream.runForEach(process.output, ({ bytes, stream }) => Effect.sync(() => parts[stream].push(bytes)))
  const said: Said = {
    stdout: Buffer.concat(parts.stdout),
    stderr: Buffer.concat(parts.stderr).toString(),
    exitCode: yield* process.exitCode
  }
  return said
})

const all = { stdin: true, stdout: true, stderr: true, tty: false }

export const access = (confinement: Confinement, logFile?: string): Layer.Layer<never> =>
  ProcessHostAccess.layer({ abilities: nothingAllowed, confinement, logFile, logDir: "/var/log", copyProgram })

export const hostWorld = Effect.fnUntraced(function*(account: Omit<Confinement, "rootfs"> = {}) {
  const folder = yield* temporaryFolder
  const rootfs = `${folder}/root`
  yield* Effect.promise(() => mkdir(rootfs))
  const host = yield* Effect.provide(Effect.service(HostAccess), access({ rootfs, ...account }))
  const copy = (command: CopyCommand, input?: Uint8Array) =>
    Effect.scoped(Effect.flatMap(host.copy(command, all), (process) => talk(process, input)))
  return {
    folder,
    rootfs,
    host,
    isDirectory: (path: string) => Effect.map(copy({ _tag: "IsDirectory", path }), ({ exitCode }) => exitCode),
    create: (path: string, skip = 0) => copy({ _tag: "Create", path, skip }),
    extract: (directory: string, archive: Uint8Array, preserve = true) =>
      copy({ _tag: "Extract", directory, preserve }, archive)
  }
})
