/** What `/configz` says: the part of a kubelet's configuration that holds for a virtual node, in its own names. Pure. */
import { Duration } from "effect"
import { leaseDurationSeconds, renewMillis } from "../node/lease.ts"

/** As Go writes durations: `1h30m0s`. */
const goText = (input: Duration.Input): string => {
  const all = Math.floor(Duration.toSeconds(Duration.fromInputUnsafe(input)))
  const hours = Math.floor(all / 3600)
  const minutes = Math.floor(all / 60) % 60
  const seconds = `${all % 60}s`
  return hours > 0 ? `${hours}h${minutes}m${seconds}` : minutes > 0 ? `${minutes}m${seconds}` : seconds
}

export const kubeletConfiguration = (node: {
  readonly port: number | undefined
  readonly maxPods: number
  readonly clusterDomain: string
  readonly clusterDns: ReadonlyArray<string>
  readonly streamIdle: Duration.Input
}) => ({
  kind: "KubeletConfiguration",
  apiVersion: "kubelet.config.k8s.io/v1beta1",
  ...(node.port === undefined ? {} : { port: node.port }),
  authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: {} },
  authorization: { mode: "Webhook" },
  clusterDomain: node.clusterDomain,
  clusterDNS: node.clusterDns,
  maxPods: node.maxPods,
  nodeLeaseDurationSeconds: leaseDurationSeconds,
  nodeStatusUpdateFrequency: goText(Duration.millis(renewMillis)),
  streamingConnectionIdleTimeout: goText(node.streamIdle),
  registerNode: true
})
