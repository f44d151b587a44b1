/** The port to the device itself: what `kubectl exec`, `attach`, `logs`, `cp` and `port-forward` to its host pod reach. */
import { Context, Effect, type Scope, type Stream } from "effect"
import type { Duplex, ExecSpec, LogChunk, ProcessStreams, RuntimeError } from "../../pod/ContainerRuntime.ts"
import { PodStreamError } from "../../pod/PodRuntime.ts"
import type { CopyCommand } from "./copyCommand.ts"

/** What the owner of the device allows, by the keys of its own configuration; nothing unless it says so. */
export interface HostAbilities {
  /** `arhat.host.allowExec` and so on. */
  readonly exec: boolean
  readonly attach: boolean
  readonly log: boolean
  readonly portForward: boolean
  readonly copy: boolean
  readonly logFiles: boolean
}

/** A file of logs, or the names in a directory of them as the wire has them: each ended by a zero byte. */
export interface LogFile {
  readonly directory: boolean
  readonly bytes: Stream.Stream<Uint8Array, HostFailure>
}

export interface HostLogQuery {
  readonly follow: boolean
  /** The file that was the log before the last rotation. */
  readonly previous: boolean
  /** Milliseconds since the epoch. */
  readonly since?: number
  /** Lines from the end. */
  readonly tail?: number
}

export type HostFailure = PodStreamError | RuntimeError

/** Whoever implements it confines what runs to the root, user and group that the owner gave; it need not look at the abilities. */
export interface HostAccess {
  readonly abilities: HostAbilities
  /** The agent's own log; fails where there is none to open. */
  readonly logs: (
    query: HostLogQuery
  ) => Effect.Effect<Stream.Stream<LogChunk, HostFailure>, HostFailure, Scope.Scope>
  readonly exec: (spec: ExecSpec) => Effect.Effect<ProcessStreams, HostFailure, Scope.Scope>
  /** A login shell. */
  readonly shell: (spec: Omit<ExecSpec, "command">) => Effect.Effect<ProcessStreams, HostFailure, Scope.Scope>
  /** What `kubectl cp` runs, without a program of the host. */
  readonly copy: (
    command: CopyCommand,
    spec: Omit<ExecSpec, "command">
  ) => Effect.Effect<ProcessStreams, HostFailure, Scope.Scope>
  /** What lies at a path below the owner's folder of logs, where the path and its links may not lead out of it. */
  readonly logFile: (path: string) => Effect.Effect<LogFile, HostFailure, Scope.Scope>
  /** Connects to a TCP port of the device. */
  readonly dial: (port: number) => Effect.Effect<Duplex, HostFailure, Scope.Scope>
}

export const nothingAllowed: HostAbilities = {
  exec: false,
  attach: false,
  log: false,
  portForward: false,
  copy: false,
  logFiles: false
}

const absent = Effect.fail(new PodStreamError({ reason: "Refused", detail: "this agent gives no access to its host" }))

/** An agent that was given none has none. */
export const HostAccess = Context.Reference<HostAccess>("aranya/agent/host/HostAccess", {
  defaultValue: () => ({
    abilities: nothingAllowed,
    logs: () => absent,
    exec: () => absent,
    shell: () => absent,
    copy: () => absent,
    logFile: () => absent,
    dial: () => absent
  })
})
