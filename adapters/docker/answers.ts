/** The parts of docker's answers that matter here, and what they mean. */
import { Schema } from "effect"
import type { Container, Sandbox, Usage } from "../../core/pod/ContainerRuntime.ts"
import { LABEL } from "./containerBody.ts"

const opt = Schema.optionalKey
const Labels = Schema.NullOr(Schema.Record(Schema.String, Schema.String))

export const Created = Schema.Struct({ Id: Schema.String })

export const Listed = Schema.Array(Schema.Struct({ Id: Schema.String, State: Schema.String, Labels }))

export const ImageAnswer = Schema.Struct({
  Id: Schema.String,
  Size: Schema.Number,
  Config: opt(Schema.NullOr(Schema.Struct({ User: opt(Schema.NullOr(Schema.String)) })))
})

export const Inspected = Schema.Struct({
  Id: Schema.String,
  Created: Schema.String,
  Image: Schema.String,
  State: Schema.Struct({
    Status: Schema.String,
    Running: Schema.Boolean,
    Pid: opt(Schema.Number),
    OOMKilled: opt(Schema.Boolean),
    ExitCode: Schema.Number,
    Error: opt(Schema.String),
    StartedAt: Schema.String,
    FinishedAt: Schema.String
  }),
  Config: Schema.Struct({ Tty: opt(Schema.Boolean), StdinOnce: opt(Schema.Boolean), Labels: opt(Labels) }),
  HostConfig: opt(Schema.Struct({
    NetworkMode: opt(Schema.String),
    IpcMode: opt(Schema.String),
    PidMode: opt(Schema.String)
  })),
  NetworkSettings: opt(Schema.Struct({
    Networks: opt(Schema.NullOr(Schema.Record(
      Schema.String,
      Schema.Struct({ IPAddress: opt(Schema.String), GlobalIPv6Address: opt(Schema.String) })
    )))
  }))
})
export type Inspected = typeof Inspected.Type

export const Stats = Schema.Struct({
  cpu_stats: opt(Schema.Struct({ cpu_usage: opt(Schema.Struct({ total_usage: opt(Schema.Number) })) })),
  memory_stats: opt(Schema.Struct({
    usage: opt(Schema.Number),
    stats: opt(Schema.NullOr(Schema.Record(Schema.String, Schema.Unknown)))
  })),
  /** Of interfaces in the container's own network namespace. */
  networks: opt(Schema.NullOr(Schema.Record(
    Schema.String,
    Schema.Struct({ rx_bytes: opt(Schema.Number), tx_bytes: opt(Schema.Number) })
  )))
})

export const ExecState = Schema.Struct({
  Running: Schema.Boolean,
  ExitCode: opt(Schema.NullOr(Schema.Number)),
  Pid: opt(Schema.Number)
})

export const EngineEvent = Schema.fromJsonString(Schema.Struct({
  Action: opt(Schema.String),
  Actor: opt(Schema.Struct({ ID: Schema.String, Attributes: opt(Labels) }))
}))

/** Go's zero time means never. */
const millisOf = (text: string): number | undefined => {
  const millis = Date.parse(text)
  return Number.isNaN(millis) || millis <= 0 ? undefined : millis
}

export const wasStarted = ({ State }: Inspected): boolean => millisOf(State.StartedAt) !== undefined

const stateOf = (inspected: Inspected): Container["state"] => {
  switch (inspected.State.Status) {
    case "created":
      return "created"
    case "running":
    case "paused":
    case "restarting":
      return "running"
    case "exited":
    case "dead":
    // Nothing of it runs any more; only its files are still on their way out.
    case "removing":
      return wasStarted(inspected) ? "exited" : "created"
    default:
      return "unknown"
  }
}

export const containerOf = (inspected: Inspected): Container => {
  const { Config, Created, Id, Image, State } = inspected
  const labels = Config.Labels ?? {}
  const state = stateOf(inspected)
  const startedAt = millisOf(State.StartedAt)
  const finishedAt = state === "exited" ? millisOf(State.FinishedAt) : undefined
  return {
    id: Id,
    uid: labels[LABEL.uid] ?? "",
    namespace: labels[LABEL.namespace] ?? "",
    pod: labels[LABEL.pod] ?? "",
    sandboxId: labels[LABEL.sandbox] ?? "",
    container: labels[LABEL.container] ?? "",
    attempt: Number(labels[LABEL.attempt] ?? 0),
    specHash: labels[LABEL.specHash] ?? "",
    image: labels[LABEL.image] ?? Image,
    imageId: Image,
    state,
    createdAt: millisOf(Created) ?? 0,
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(finishedAt === undefined ? {} : { finishedAt }),
    ...(state === "exited" ? { exitCode: State.ExitCode } : {}),
    oomKilled: State.OOMKilled ?? false,
    ...((State.Error ?? "") === "" ? {} : { detail: State.Error! })
  }
}

export const sandboxOf = (inspected: Inspected): Sandbox => {
  const labels = inspected.Config.Labels ?? {}
  const ready = inspected.State.Status === "running"
  const networks = Object.values(inspected.NetworkSettings?.Networks ?? {})
  return {
    id: inspected.Id,
    uid: labels[LABEL.uid] ?? "",
    namespace: labels[LABEL.namespace] ?? "",
    pod: labels[LABEL.pod] ?? "",
    attempt: Number(labels[LABEL.attempt] ?? 0),
    ready,
    ips: ready
      ? [...networks.map(({ IPAddress }) => IPAddress), ...networks.map(({ GlobalIPv6Address }) => GlobalIPv6Address)]
        .filter((ip) => ip !== undefined).filter((ip) => ip !== "")
      : []
  }
}

/** The names of memory.stat of control groups version 1, then of version 2. */
export const usageOf = (id: string, at: number, { cpu_stats, memory_stats, networks }: typeof Stats.Type): Usage => {
  const entry = (...names: ReadonlyArray<string>): number | undefined => {
    for (const name of names) {
      const value = memory_stats?.stats?.[name]
      if (typeof value === "number") return value
    }
    return undefined
  }
  const used = memory_stats?.usage ?? 0
  const rss = entry("total_rss", "rss", "anon")
  const interfaces = Object.values(networks ?? {})
  return {
    containerId: id,
    at,
    cpuNanoseconds: cpu_stats?.cpu_usage?.total_usage ?? 0,
    memoryUsedBytes: used,
    memoryWorkingSetBytes: Math.max(0, used - (entry("total_inactive_file", "inactive_file") ?? 0)),
    ...(rss === undefined ? {} : { memoryRssBytes: rss }),
    ...(interfaces.length === 0 ? {} : {
      network: {
        receivedBytes: interfaces.reduce((sum, { rx_bytes = 0 }) => sum + rx_bytes, 0),
        sentBytes: interfaces.reduce((sum, { tx_bytes = 0 }) => sum + tx_bytes, 0)
      }
    })
  }
}
