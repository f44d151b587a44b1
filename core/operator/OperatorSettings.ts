/** What the operator's owner may set, with the defaults the documentation states. */
import { Context, type Duration } from "effect"
import type { GrpcEndpoint } from "./desiredService.ts"

export const OperatorSettings = Context.Reference<{
  /** Pods of these namespaces are never run on devices: DaemonSets of the cluster's own system tolerate every taint. */
  readonly excludedNamespaces: ReadonlyArray<string>
  readonly clusterDomain: string
  /** Name servers of the cluster that devices can reach; most often none. */
  readonly clusterDns: ReadonlyArray<string>
  /** Where the API server finds the kubelet API of all virtual nodes. */
  readonly kubelet: { readonly address: string; readonly port: number } | undefined
  /** Where an Ingress finds the gRPC listener, for the Services that EdgeDevices ask for. */
  readonly grpc?: GrpcEndpoint | undefined
  /** A listener of its own for each Node, besides the one of all: a request there needs no other word on which Node it means. */
  readonly kubeletPerNode: boolean
  /** How long a device may be away before its pods' Ready turns False. */
  readonly disconnectGrace: Duration.Input
  /** How long exec, attach and port-forward may be silent before they are ended; 4 hours when absent, as a kubelet's. */
  readonly streamIdle?: Duration.Input
  /** How often a device is asked at most what it and its pods use; 5 minutes when absent. */
  readonly metricsMinInterval?: Duration.Input
  /** How long the deletion of an EdgeDevice waits for a device that answers to end its pods. */
  readonly farewell: Duration.Input
}>("aranya/operator/OperatorSettings", {
  defaultValue: () => ({
    excludedNamespaces: ["kube-system"],
    clusterDomain: "cluster.local",
    clusterDns: [],
    kubelet: undefined,
    kubeletPerNode: false,
    disconnectGrace: "1 minute",
    farewell: "2 minutes"
  })
})
