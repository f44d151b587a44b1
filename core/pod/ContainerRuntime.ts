/**
 * The port to whatever runs containers on the device: docker, a CRI, plain processes, memory. The pod machine drives it.
 * Every operation is idempotent under its deterministic name, so that the machine may repeat it after a crash.
 */
import { Context, type Effect, Schema, type Scope, type Stream } from "effect"
import type { NetworkUsage } from "../metrics/DeviceUsage.ts"
import type { ContainerSecurity, RegistryCredential } from "./PodAssignment.ts"

/**
 * `NotFound`: no such container, sandbox or image. `NameConflict`: the deterministic name is taken, by `id`: inspect and adopt.
 * `ImageUnavailable`: the registry cannot be reached or has no such image. `ImageDenied`: it asks for other credentials.
 * `InvalidImageName`, `Invalid`: what was asked for can never work. `StartFailed`: the engine could not start the process
 * (no such command, no permission). `CreateFailed`: the engine answers that it could not make it, and in which words; it may be able to
 * later (a full disk, a damaged image). `Unavailable`: the engine itself does not answer; try again later. `OutcomeUnknown`: what was
 * asked for, such as a command, may have been done or not; asking again may do it twice.
 */
export class RuntimeError extends Schema.TaggedError<RuntimeError>()("RuntimeError", {
  reason: Schema.Literals([
    "NotFound",
    "NameConflict",
    "ImageUnavailable",
    "ImageDenied",
    "InvalidImageName",
    "Invalid",
    "StartFailed",
    "CreateFailed",
    "Unsupported",
    "Unavailable",
    "OutcomeUnknown"
  ]),
  detail: Schema.String,
  /** The holder of the name, for `NameConflict`. */
  id: Schema.optionalKey(Schema.String)
}) {
  override get message() {
    return this.detail
  }
  get retryable(): boolean {
    return this.reason === "Unavailable" || this.reason === "ImageUnavailable" || this.reason === "CreateFailed"
  }
}

export interface RuntimeInfo {
  /** `docker`, `process`; the scheme of container ids in status (`docker://...`). */
  readonly name: string
  readonly version: string
}

export interface ImageInfo {
  /** `sha256:...` or what the runtime calls it; goes to status.imageID. */
  readonly id: string
  readonly sizeBytes: number
  /** The user the image asks for: undefined or "" is root. Numeric or a name. */
  readonly user?: string
}

/** Who a sandbox or container belongs to; stored with it, so that it can be found and adopted after a restart. */
export interface Ownership {
  readonly uid: string
  readonly namespace: string
  readonly pod: string
}

export interface SandboxSpec extends Ownership {
  /** Grows when a sandbox must be made anew for the same pod. */
  readonly attempt: number
  readonly hostname: string
  readonly hostNetwork: boolean
  readonly hostPID: boolean
  readonly hostIPC: boolean
  readonly shareProcessNamespace: boolean
  /** All its containers are commands of the bare host. */
  readonly hostExec?: boolean
  readonly dns: {
    readonly inheritHost: boolean
    readonly nameservers: ReadonlyArray<string>
    readonly searches: ReadonlyArray<string>
    readonly options: ReadonlyArray<string>
  }
  readonly sysctls: Readonly<Record<string, string>>
  readonly ports: ReadonlyArray<{
    readonly containerPort: number
    readonly hostPort: number
    readonly hostIP: string
    readonly protocol: "TCP" | "UDP" | "SCTP"
  }>
}

export interface Sandbox extends Ownership {
  readonly id: string
  readonly attempt: number
  readonly ready: boolean
  /** Addresses on the device, first is the primary; empty while it has none. */
  readonly ips: ReadonlyArray<string>
}

export interface ContainerSpec extends Ownership {
  readonly sandboxId: string
  readonly container: string
  /** Restart number, from 0. (uid, container, attempt) is the deterministic name. */
  readonly attempt: number
  readonly specHash: string
  /** As the user wrote it. */
  readonly image: string
  readonly imageId: string
  readonly command: ReadonlyArray<string>
  readonly args: ReadonlyArray<string>
  readonly workingDir: string
  readonly env: ReadonlyArray<{ readonly name: string; readonly value: string }>
  /** `source` is a path on the host. */
  readonly mounts: ReadonlyArray<{ readonly source: string; readonly target: string; readonly readOnly: boolean }>
  readonly resources: {
    /** Thousandths of a core, bytes; 0 is no request or limit. */
    readonly cpuRequest: number
    readonly cpuLimit: number
    readonly memoryRequest: number
    readonly memoryLimit: number
  }
  readonly oomScoreAdj: number
  readonly security: ContainerSecurity
  readonly stdin: boolean
  readonly stdinOnce: boolean
  readonly tty: boolean
  /** Id of the container of the pod whose processes this one shall see, where the runtime keeps those apart. */
  readonly processesOf?: string
}

export interface Container extends Ownership {
  readonly id: string
  readonly sandboxId: string
  readonly container: string
  readonly attempt: number
  readonly specHash: string
  readonly image: string
  readonly imageId: string
  readonly state: "created" | "running" | "exited" | "unknown"
  /** Milliseconds since the epoch by the device's clock; absent where it never started or has not ended. */
  readonly createdAt: number
  readonly startedAt?: number
  readonly finishedAt?: number
  readonly exitCode?: number
  readonly oomKilled: boolean
  /** The engine's own words about a failed start or an error. */
  readonly detail?: string
}

/** A hint that something about a container changed: inspect it. Missing hints only cost time (a slow poll covers them). */
export interface RuntimeEvent {
  readonly uid: string
  readonly containerId: string
  readonly kind: "started" | "exited" | "oom" | "removed"
}

export interface LogQuery {
  readonly follow: boolean
  /** Milliseconds since the epoch. */
  readonly since?: number
  /** Lines from the end, counted before `since` is applied. */
  readonly tail?: number
}

/** Whole or partial line with the time it was written, milliseconds (fraction kept as nanoseconds text where known). */
export interface LogChunk {
  readonly stream: "stdout" | "stderr"
  /** RFC 3339 with nine decimals. */
  readonly time: string
  /** With its newline, unless the line was cut (partial) or the container ended without one. */
  readonly bytes: Uint8Array
}

export interface ExecSpec {
  readonly command: ReadonlyArray<string>
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  readonly tty: boolean
}

export interface Output {
  readonly stream: "stdout" | "stderr"
  readonly bytes: Uint8Array
}

/** A process one talks to. Closing its scope ends an exec'd process; an attached container goes on. */
export interface ProcessStreams {
  readonly stdin: (bytes: Uint8Array) => Effect.Effect<void, RuntimeError>
  readonly endStdin: Effect.Effect<void, RuntimeError>
  readonly resize: (size: { readonly width: number; readonly height: number }) => Effect.Effect<void, RuntimeError>
  /** Ends after the last byte; to be run once. With a tty all is stdout. */
  readonly output: Stream.Stream<Output, RuntimeError>
  /** After `output` ended. */
  readonly exitCode: Effect.Effect<number, RuntimeError>
}

/** Bytes to and from a port. */
export interface Duplex {
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, RuntimeError>
  readonly end: Effect.Effect<void, RuntimeError>
  readonly read: Stream.Stream<Uint8Array, RuntimeError>
}

/** Of a container; or of a sandbox that has a network of its own. */
export interface Usage {
  readonly containerId: string
  /** Milliseconds since the epoch. */
  readonly at: number
  /** Of all its processes, those that have ended included. Grows for as long as the container runs. */
  readonly cpuNanoseconds: number
  /** What is charged to it, page cache included. */
  readonly memoryUsedBytes: number
  readonly memoryWorkingSetBytes: number
  /** Absent where it cannot be told apart. */
  readonly memoryRssBytes?: number
  /** Of all interfaces of the sandbox's network but the loopback. */
  readonly network?: NetworkUsage
}

export class ContainerRuntime extends Context.Service<ContainerRuntime, {
  readonly info: Effect.Effect<RuntimeInfo, RuntimeError>

  readonly image: (reference: string) => Effect.Effect<ImageInfo, RuntimeError>
  /** Credentials that match the reference, most specific first; tried in order, then none. */
  readonly pull: (
    reference: string,
    credentials: ReadonlyArray<RegistryCredential>
  ) => Effect.Effect<ImageInfo, RuntimeError>

  /** Creates and starts it, or adopts the one of that name; network included. */
  readonly ensureSandbox: (spec: SandboxSpec) => Effect.Effect<Sandbox, RuntimeError>
  /** All sandboxes of ours, of one pod or of all. */
  readonly sandboxes: (uid?: string) => Effect.Effect<ReadonlyArray<Sandbox>, RuntimeError>
  /** Takes its network and process away; its containers are already stopped. Absent is success. */
  readonly removeSandbox: (id: string) => Effect.Effect<void, RuntimeError>

  /** Fails with `NameConflict` and the holder's id when the name is taken. */
  readonly create: (spec: ContainerSpec) => Effect.Effect<string, RuntimeError>
  /** Never to be called for a container that was started once. */
  readonly start: (id: string) => Effect.Effect<void, RuntimeError>
  /** Stop signal, then SIGKILL after the grace; returns when it has ended. Absent or ended is success. */
  readonly stop: (id: string, graceSeconds: number) => Effect.Effect<void, RuntimeError>
  /** Absent is success. */
  readonly remove: (id: string) => Effect.Effect<void, RuntimeError>
  readonly inspect: (id: string) => Effect.Effect<Container, RuntimeError>
  /** All containers of ours, in any state, of one pod or of all. */
  readonly containers: (uid?: string) => Effect.Effect<ReadonlyArray<Container>, RuntimeError>
  /** Reconnects by itself; hints may be lost while it does. */
  readonly events: Stream.Stream<RuntimeEvent>

  readonly logs: (id: string, query: LogQuery) => Stream.Stream<LogChunk, RuntimeError>
  /** Fails with `OutcomeUnknown` where it may have begun all the same. */
  readonly exec: (id: string, spec: ExecSpec) => Effect.Effect<ProcessStreams, RuntimeError, Scope.Scope>
  readonly attach: (
    id: string,
    spec: Omit<ExecSpec, "command">
  ) => Effect.Effect<ProcessStreams, RuntimeError, Scope.Scope>
  /** Connects to a TCP port inside the pod. */
  readonly dial: (sandboxId: string, port: number) => Effect.Effect<Duplex, RuntimeError, Scope.Scope>
  /** Of what runs. */
  readonly usage: Effect.Effect<ReadonlyArray<Usage>, RuntimeError>
}>()("aranya/pod/ContainerRuntime") {}
