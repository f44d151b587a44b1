/** What the host pod of this device reaches, as the owner's configuration allows it; loaded only where it allows anything. */
import { Effect, Layer } from "effect"
import { nothingAllowed } from "../../core/agent/host/HostAccess.ts"
import type { ArhatConfig } from "./ArhatConfig.ts"
import { thisProgram } from "./thisProgram.ts"

/** The first log that lies in a file. */
const logFileOf = ({ arhat }: ArhatConfig) => arhat.log.find(({ file }) => file !== "stderr" && file !== "stdout")?.file

export const hostAccess = (config: ArhatConfig): Layer.Layer<never> => {
  const { allowAttach, allowCopy, allowExec, allowLog, allowLogFiles, allowPortForward, logDir, ...confinement } =
    config.arhat.host
  const abilities = {
    exec: allowExec,
    attach: allowAttach,
    log: allowLog,
    portForward: allowPortForward,
    copy: allowCopy,
    logFiles: allowLogFiles
  } satisfies typeof nothingAllowed
  if (Object.values(abilities).every((allowed) => !allowed)) return Layer.empty
  return Layer.unwrap(Effect.gen(function*() {
    const allowed = Object.entries(config.arhat.host).filter(([, value]) => value === true).map(([key]) => key)
    yield* Effect.logInfo(`the host pod of this device is open to who may use it: ${allowed.join(", ")}`)
    const { layer } = yield* Effect.promise(() => import("../../adapters/process/host/ProcessHostAccess.ts"))
    return layer({ abilities, confinement, logFile: logFileOf(config), logDir, copyProgram: thisProgram() })
  }))
}
