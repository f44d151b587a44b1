/**
 * The port of the agent to whatever runs whole pods: the pod machine over a ContainerRuntime, or a runtime plugin.
 * Desired state is idempotent: saying it twice does nothing twice.
 */
import { Context, type Effect, Schema, type Scope, type Stream } from "effect"
import type { PodUsage } from "../metrics/DeviceUsage.ts"
import type { Duplex, ExecSpec, ProcessStreams, RuntimeError } from "./ContainerRuntime.ts"
import type { PodAssignment, VolumeFile } from "./PodAssignment.ts"
import type { PodEvent, PodReport } from "./PodReport.ts"

/**
 * Why a stream to a pod could not be had; the texts are the kubelet's, users know them.
 * `NotFound`: no such pod or container. `NotReady`: the container waits, or has no such previous run. `Refused`: an ability is switched off.
 * `Failed`: as the detail says; it may be asked for again. `OutcomeUnknown`: a command may have run, or may be running.
 */
export class PodStreamError extends Schema.TaggedError<PodStreamError>()("PodStreamError", {
  reason: Schema.Literals(["NotFound", "NotReady", "Refused", "Failed", "OutcomeUnknown"]),
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}

/** What `kubectl logs` may ask for. */
export interface PodLogQuery {
  readonly container: string
  readonly follow: boolean
  readonly previous: boolean
  readonly timestamps: boolean
  readonly sinceSeconds?: number
  /** Milliseconds since the epoch. */
  readonly sinceTime?: number
  readonly tailLines?: number
  readonly limitBytes?: number
}

export class PodRuntime extends Context.Service<PodRuntime, {
  /** Who asks from here on knows of all that was asked before: removals then overtake no assignment of theirs. */
  readonly beginSession: Effect.Effect<void>
  /**
   * Makes this pod run, or brings a running one to this version. Durable before it returns. False: it was removed in this session,
   * or since this was asked, and an assignment that its removal has overtaken begins nothing.
   */
  readonly ensure: (assignment: PodAssignment) => Effect.Effect<boolean>
  /** Rotated tokens of one volume, by path; the rest of the volume stays. Durable before it returns; an unknown pod is success. */
  readonly rotate: (uid: string, volume: string, files: ReadonlyArray<VolumeFile>) => Effect.Effect<void>
  /**
   * Begins to end it within the grace (seconds; only ever shortened). A report with `finished` tells when it is done. False: there
   * is no such pod, there will be none, and no report will come.
   */
  readonly remove: (uid: string, graceSeconds: number) => Effect.Effect<boolean>
  /** Forgets a pod that finished: its last report has been taken. What is left of any other ends as what nobody knows. */
  readonly forget: (uid: string) => Effect.Effect<void>
  /**
   * True: what runs is ended within its grace and nothing begins until it is told false; what is held stays held, and a pod that
   * was ended thus goes on where its restart policy lets it. After a start it rests if the journal's leash says so.
   */
  readonly rest: (resting: boolean) => Effect.Effect<void>
  /**
   * What it holds: uid and content hash of each assignment. A pod of which it cannot read what it noted has no hash: what runs of it is
   * left alone until the pod is ensured, removed or forgotten, but ends where workloads have to rest.
   */
  readonly held: Effect.Effect<ReadonlyArray<{ readonly uid: string; readonly hash: string }>>
  /** The newest report of each pod, then each change; one subscriber. */
  readonly reports: Stream.Stream<PodReport>
  readonly events: Stream.Stream<Omit<PodEvent, "number">>
  /** First an empty element, which says that there is a log to read; then its bytes. */
  readonly logs: (uid: string, query: PodLogQuery) => Stream.Stream<Uint8Array, PodStreamError | RuntimeError>
  readonly exec: (
    uid: string,
    container: string,
    spec: ExecSpec
  ) => Effect.Effect<ProcessStreams, PodStreamError | RuntimeError, Scope.Scope>
  readonly attach: (
    uid: string,
    container: string,
    spec: Omit<ExecSpec, "command">
  ) => Effect.Effect<ProcessStreams, PodStreamError | RuntimeError, Scope.Scope>
  readonly dial: (uid: string, port: number) => Effect.Effect<Duplex, PodStreamError | RuntimeError, Scope.Scope>
  /** What the pods that run have used by now, measured when it is asked for. */
  readonly usage: Effect.Effect<ReadonlyArray<PodUsage>, RuntimeError>
}>()("aranya/pod/PodRuntime") {}
