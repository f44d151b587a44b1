/** The device itself behind its host pod: commands, a login shell, the agent's log, files and ports, held to what the owner gave. */
import { Effect, Layer, Stream } from "effect"
import { type HostAbilities, HostAccess } from "../../../core/agent/host/HostAccess.ts"
import { PodStreamError } from "../../../core/pod/PodRuntime.ts"
import { dialLocal, runCommand } from "../interact.ts"
import { findTools, SYSTEM_PATH } from "../tools.ts"
import { accountOf, checkConfinement, confined, type Confinement } from "./confinement.ts"
import type { CopyRequest } from "./copyFiles.ts"
import { copyFilesArgument } from "./copyFilesArgument.ts"
import { readLogFile } from "./logFile.ts"

export interface HostOptions {
  readonly abilities: HostAbilities
  readonly confinement: Confinement
  /** The file that arhat logs into, where it does. */
  readonly logFile: string | undefined
  /** What runs `runCopyFiles` with the arguments that follow. */
  readonly copyProgram: ReadonlyArray<string>
}

const refused = (detail: string) => new PodStreamError({ reason: "Refused", detail })

const noTerminal = refused("the host has no terminal to give: leave out --tty (-t)")

const noLogFile = refused(
  "the agent logs into no file that could be shown: give arhat.log[] an entry whose file is a path"
)

/** A copy needs little, whatever it copies. */
const copyMemory = "--max-old-space-size=64"

export const layer = ({ abilities, confinement, copyProgram, logFile }: HostOptions): Layer.Layer<never> => {
  const asRoot = process.getuid?.() === 0
  const tools = findTools(asRoot)
  const allowed = checkConfinement(confinement, asRoot)
  const { home } = accountOf(confinement)
  const environment = { PATH: SYSTEM_PATH, HOME: home }

  return Layer.succeed(HostAccess, {
    abilities,
    logs: (query) => logFile === undefined ? Stream.fail(noLogFile) : readLogFile(logFile, query),
    exec: Effect.fnUntraced(function*({ command, ...spec }) {
      yield* allowed
      if (spec.tty) return yield* noTerminal
      return yield* runCommand(confined(confinement, tools, command), environment, spec)
    }),
    shell: Effect.fnUntraced(function*(spec) {
      yield* allowed
      if (spec.tty) return yield* noTerminal
      return yield* runCommand(confined(confinement, tools, [accountOf(confinement).shell, "-l"]), environment, spec)
    }),
    copy: Effect.fnUntraced(function*(command, spec) {
      yield* allowed
      const [program = "", ...args] = copyProgram
      const request: CopyRequest = { confinement, command }
      return yield* runCommand(
        [program, copyMemory, ...args, copyFilesArgument, JSON.stringify(request)],
        environment,
        spec
      )
    }),
    dial: dialLocal
  })
}
