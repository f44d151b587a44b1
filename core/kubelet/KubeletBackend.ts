/** The port from the kubelet API to whoever knows the virtual nodes and speaks to their devices. */
import { Context, type Effect, type Scope, type Stream } from "effect"
import type { Pod } from "../kube/Pod.ts"
import type { Duplex, ExecSpec, ProcessStreams, RuntimeError } from "../pod/ContainerRuntime.ts"
import type { PodLogQuery, PodStreamError } from "../pod/PodRuntime.ts"

export interface ServedPod {
  readonly node: string
  /** With the newest status there is; it decides what `kubectl logs` is told without asking the device. */
  readonly pod: Pod
}

/** One life of a pod. */
export interface PodPlace {
  readonly node: string
  readonly uid: string
}

/** Words for the user of kubectl. */
export type StreamFailure = PodStreamError | RuntimeError

/** Its bytes, or the names in it: each ended by a zero byte, directories with a slash before it, an empty one where there are more. */
export interface NodeLogFile {
  readonly directory: boolean
  readonly bytes: Stream.Stream<Uint8Array, StreamFailure>
}

/** `/metrics/PAGE`; empty for `/metrics` itself. */
export type MetricsPage = "" | "cadvisor" | "probes" | "slis" | "resource"

/** One ability of a node that a version may lack: undefined is answered with a sentence and 404. */
type Offered<A> = Effect.Effect<A | undefined, RuntimeError>

export class KubeletBackend extends Context.Service<KubeletBackend, {
  /** A pod on a node that is served here. */
  readonly pod: (namespace: string, name: string) => Effect.Effect<ServedPod | undefined>
  readonly serves: (node: string) => Effect.Effect<boolean>
  /**
   * Raw bytes of a container's log. A first element of no bytes says that the device has opened it: the caller's headers are
   * sent at once then, while there may be nothing to show for hours. Failing before any element is answered with a
   * status and the error's words; failing later breaks the connection off, for an orderly end would be a lie.
   */
  readonly logs: (at: PodPlace, query: PodLogQuery) => Stream.Stream<Uint8Array, StreamFailure>
  /** At most once; ended when the scope closes. */
  readonly exec: (
    at: PodPlace,
    container: string,
    spec: ExecSpec
  ) => Effect.Effect<ProcessStreams, StreamFailure, Scope.Scope>
  /** The container goes on when the scope closes. */
  readonly attach: (
    at: PodPlace,
    container: string,
    spec: Omit<ExecSpec, "command">
  ) => Effect.Effect<ProcessStreams, StreamFailure, Scope.Scope>
  /** Connects to a TCP port inside the pod. */
  readonly dial: (at: PodPlace, port: number) => Effect.Effect<Duplex, StreamFailure, Scope.Scope>
  /** What lies at a path below the folder of logs of the node's host; the empty path is that folder. */
  readonly logFile: (node: string, path: string) => Effect.Effect<NodeLogFile, StreamFailure, Scope.Scope>
  /** The pods bound to a node, as its kubelet knows them. */
  readonly pods: (node: string) => Effect.Effect<ReadonlyArray<Pod>>
  /** The pods that run there. */
  readonly runningPods: (node: string) => Offered<ReadonlyArray<Pod>>
  /** `/stats/summary` as the kubelet's JSON. */
  readonly summary: (node: string, options: { readonly onlyCpuAndMemory: boolean }) => Offered<unknown>
  /** A page below `/metrics` in Prometheus text. */
  readonly metrics: (node: string, page: MetricsPage) => Offered<string>
  /** The `kubeletconfig` of `/configz`. */
  readonly configuration: (node: string) => Offered<unknown>
}>()("aranya/kubelet/KubeletBackend") {}
