/** The port from the kubelet API to whoever knows the virtual nodes and speaks to their devices. */
import { Context, type Effect, type Stream } from "effect"
import type { Pod } from "../kube/Pod.ts"
import type { RuntimeError } from "../pod/ContainerRuntime.ts"
import type { PodLogQuery, PodStreamError } from "../pod/PodRuntime.ts"

export interface ServedPod {
  readonly node: string
  /** With the newest status there is; it decides what `kubectl logs` is told without asking the device. */
  readonly pod: Pod
}

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
  readonly logs: (
    at: { readonly node: string; readonly uid: string },
    query: PodLogQuery
  ) => Stream.Stream<Uint8Array, PodStreamError | RuntimeError>
  /** The pods bound to a node, as its kubelet knows them. */
  readonly pods: (node: string) => Effect.Effect<ReadonlyArray<Pod>>
  /** The pods that run there. */
  readonly runningPods: (node: string) => Offered<ReadonlyArray<Pod>>
  /** `/stats/summary` as the kubelet's JSON. */
  readonly summary: (node: string, options: { readonly onlyCpuAndMemory: boolean }) => Offered<unknown>
  /** `/metrics/resource` in Prometheus text. */
  readonly resourceMetrics: (node: string) => Offered<string>
  /** The `kubeletconfig` of `/configz`. */
  readonly configuration: (node: string) => Offered<unknown>
}>()("aranya/kubelet/KubeletBackend") {}
