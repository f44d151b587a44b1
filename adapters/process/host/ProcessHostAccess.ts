/** The device itself behind its host pod: commands, a login shell, the agent's log, files and ports, held to what the owner gave. */
import { Effect, Layer } from "effect"
import { type HostAbilities, HostAccess } from "../../../core/agent/host/HostAccess.ts"
import type { ExecSpec } from "../../../core/pod/ContainerRuntime.ts"
import { PodStreamError } from "../../../core/pod/PodRuntime.ts"
import { dialLocal, runCommand } from "../interact.ts"
import { makeTerminals } from "../terminals.ts"
import { findTools, SYSTEM_PATH } from "../tools.ts"
import { accountOf, checkConfinement, confined, type Confinement } from "./confinement.ts"
import type { CopyRequest } from "./copyFiles.ts"
import { copyFilesArgument } from "./copyFilesArgument.ts"
import { readLogFile } from "./logFile.ts"
import { makePlaces, readLogs } from "./readLogs.ts"

export interface HostOptions {
  readonly abilities: HostAbilities
  readonly confinement: Confinement
  /** The file that arhat logs into, where it does. */
  readonly logFile: string | undefined
  /** The folder of logs, within the root that the owner gave. */
  readonly logDir: string
  /** What runs `runCopyFiles` with the arguments that follow. */
  readonly copyProgram: ReadonlyArray<string>
}

const refused = (detail: string) => new PodStreamError({ reason: "Refused", detail })

const noLogFile = refused(
  "the agent logs into no file that could be shown: give arhat.log[] an entry whose file is a path"
)

const outputs = { stdin: false, stdout: true, stderr: true, tty: false }

/** A copy needs little, whatever it copies. */
const copyMemory = "--max-old-space-size=64"

const make = Effect.fnUntraced(function*({ abilities, confinement, copyProgram, logDir, logFile }: HostOptions) {
  const asRoot = process.getuid?.() === 0
  const tools = findTools(asRoot)
  const allowed = checkConfinement(confinement, asRoot)
  const terminals = yield* makeTerminals
  const { home, shell } = accountOf(confinement)
  const environment = { PATH: SYSTEM_PATH, HOME: home }

  const run = Effect.fnUntraced(function*(command: ReadonlyArray<string>, spec: Omit<ExecSpec, "command">) {
    yield* allowed
    const argv = confined(confinement, tools, command)
    if (!spec.tty) return yield* runCommand(argv, environment, spec)
    return yield* terminals.run({
      argv,
      environment: { ...environment, TERM: "xterm" },
      ...(confinement.uid === undefined ? {} : { owner: confinement.uid })
    })
  })

  const copy = Effect.fnUntraced(function*(command: CopyRequest["command"], spec: Omit<ExecSpec, "command">) {
    yield* allowed
    const [program = "", ...args] = copyProgram
    const request: CopyRequest = { confinement, command }
    return yield* runCommand(
      [program, copyMemory, ...args, copyFilesArgument, JSON.stringify(request)],
      environment,
      spec
    )
  })
  const place = makePlaces()

  const access: HostAccess = {
    abilities,
    logs: (query) => logFile === undefined ? Effect.fail(noLogFile) : readLogFile(logFile, query),
    exec: ({ command, ...spec }) => run(command, spec),
    shell: (spec) => run([shell, "-l"], spec),
    copy,
    logFile: Effect.fnUntraced(function*(path) {
      yield* place
      return yield* readLogs(yield* copy({ _tag: "ShowLogs", folder: logDir, path }, outputs))
    }),
    dial: dialLocal
  }
  return access
})

export const layer = (options: HostOptions): Layer.Layer<never> => Layer.effect(HostAccess, make(options))
