/** Streams to the device itself: what its owner has not allowed is refused with the key that would allow it. */
import { Clock, Effect, type Scope, Stream } from "effect"
import type { Duplex, ExecSpec, ProcessStreams } from "../../pod/ContainerRuntime.ts"
import { limited, withTimes } from "../../pod/machine/logBytes.ts"
import { type PodLogQuery, PodStreamError } from "../../pod/PodRuntime.ts"
import { copyCommand } from "./copyCommand.ts"
import { type HostAbilities, HostAccess, type HostFailure, type LogFile } from "./HostAccess.ts"

const keys: Readonly<Record<keyof HostAbilities, string>> = {
  exec: "arhat.host.allowExec",
  attach: "arhat.host.allowAttach",
  log: "arhat.host.allowLog",
  portForward: "arhat.host.allowPortForward",
  copy: "arhat.host.allowCopy",
  logFiles: "arhat.host.allowLogFiles"
}

const words: Readonly<Record<keyof HostAbilities, string>> = {
  exec: "commands on the host",
  attach: "a shell on the host",
  log: "the agent's log",
  portForward: "ports of the host",
  copy: "copying files of the host",
  logFiles: "log files of the host"
}

/** As long as Linux takes it. */
const longestPath = 4096

const isBelow = (path: string) => path.length <= longestPath && !path.includes("\0") && !path.split("/").includes("..")

const leadsOut = (path: string) =>
  new PodStreamError({ reason: "Refused", detail: `${path.slice(0, 100)}: no path below arhat.host.logDir` })

export interface HostStreams {
  readonly logs: (query: PodLogQuery) => Stream.Stream<Uint8Array, HostFailure>
  readonly exec: (spec: ExecSpec) => Effect.Effect<ProcessStreams, HostFailure, Scope.Scope>
  readonly attach: (spec: Omit<ExecSpec, "command">) => Effect.Effect<ProcessStreams, HostFailure, Scope.Scope>
  readonly logFile: (path: string) => Effect.Effect<LogFile, HostFailure, Scope.Scope>
  readonly dial: (port: number) => Effect.Effect<Duplex, HostFailure, Scope.Scope>
}

export const hostStreams = Effect.gen(function*() {
  const host = yield* HostAccess

  const switchedOff = (ability: keyof HostAbilities) =>
    new PodStreamError({
      reason: "Refused",
      detail: `${words[ability]}: switched off on this device; ${
        keys[ability]
      }: true in its own configuration allows it`
    })
  const allowed = (ability: keyof HostAbilities) =>
    host.abilities[ability] ? Effect.void : Effect.fail(switchedOff(ability))

  const logs = Effect.fnUntraced(function*(query: PodLogQuery) {
    yield* allowed("log")
    const { follow, limitBytes, previous, sinceSeconds, sinceTime, tailLines, timestamps } = query
    const since = sinceTime ??
      (sinceSeconds === undefined ? undefined : (yield* Clock.currentTimeMillis) - sinceSeconds * 1000)
    const chunks = yield* host.logs({
      follow: follow && !previous,
      previous,
      ...(since === undefined ? {} : { since }),
      ...(tailLines === undefined ? {} : { tail: tailLines })
    })
    const shown = timestamps ? withTimes(chunks) : Stream.map(chunks, ({ bytes }) => bytes)
    // First nothing, which says that there is a log: the first line may be hours away.
    return Stream.concat(
      Stream.succeed(new Uint8Array()),
      limitBytes === undefined ? shown : limited(shown, limitBytes)
    )
  })

  const streams: HostStreams = {
    logs: (query) => Stream.unwrap(logs(query)),
    // Who may run any command may copy by one; the agent's own way needs no program of the host.
    exec: (spec) => {
      const copy = spec.tty ? undefined : copyCommand(spec.command)
      if (copy === undefined) return Effect.andThen(allowed("exec"), host.exec(spec))
      const { command: _, ...streams } = spec
      return Effect.andThen(host.abilities.exec ? Effect.void : allowed("copy"), host.copy(copy, streams))
    },
    attach: (spec) => Effect.andThen(allowed("attach"), host.shell(spec)),
    logFile: (path) =>
      Effect.andThen(allowed("logFiles"), isBelow(path) ? host.logFile(path) : Effect.fail(leadsOut(path))),
    dial: (port) => Effect.andThen(allowed("portForward"), host.dial(port))
  }
  return streams
})
