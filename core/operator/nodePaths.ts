/** Answers the paths of the kubelet API that ask for a node itself: its usage, its metrics, its configuration. */
import { Effect, SubscriptionRef } from "effect"
import type { KubeletBackend, MetricsPage } from "../kubelet/KubeletBackend.ts"
import { cadvisorMetrics } from "../metrics/cadvisorMetrics.ts"
import { exposition } from "../metrics/exposition.ts"
import { kubeletMetrics } from "../metrics/kubeletMetrics.ts"
import { measuredPods } from "../metrics/measuredPods.ts"
import { resourceMetrics } from "../metrics/resourceMetrics.ts"
import { statsSummary } from "../metrics/statsSummary.ts"
import { isMirrorPod } from "../node/hostPod.ts"
import { RuntimeError } from "../pod/ContainerRuntime.ts"
import { Fleet } from "./Fleet.ts"
import { kubeletConfiguration } from "./kubeletConfiguration.ts"
import { OperatorSettings } from "./OperatorSettings.ts"
import { PodIndex } from "./PodIndex.ts"
import type { ServedDevice } from "./serveDevice.ts"

/** Devices run no probes yet and refuse pods that have some: there is nothing to count. */
const noProbes =
  "# HELP prober_probe_total Probes of containers by type and result.\n# TYPE prober_probe_total counter\n"

export const nodePaths = Effect.gen(function*() {
  const fleet = yield* Fleet
  const index = yield* PodIndex
  const settings = yield* OperatorSettings

  const machineOf = ({ context }: ServedDevice) => {
    const host = SubscriptionRef.getUnsafe(context.nodeReport)?.host
    return {
      cpuMillis: host?.cpuMillis ?? 0,
      memoryBytes: host?.memoryBytes ?? 0,
      storageBytes: host?.storageBytes ?? 0
    }
  }

  /** Of a node that is served; undefined for any other. */
  const measured = Effect.fnUntraced(function*(node: string) {
    const device = yield* fleet.deviceOf(node)
    if (device === undefined) return undefined
    const sample = yield* Effect.mapError(
      device.usage.sample,
      ({ message }) => new RuntimeError({ reason: "Unavailable", detail: message })
    )
    return { sample, pods: measuredPods(sample, index.onNode(node)), machine: machineOf(device) }
  })

  const metrics = Effect.fnUntraced(function*(node: string, page: MetricsPage) {
    switch (page) {
      case "probes":
        return noProbes
      case "": {
        const device = yield* fleet.deviceOf(node)
        return device === undefined ?
          undefined :
          exposition(kubeletMetrics(node, index.onNode(node).filter((pod) => !isMirrorPod(pod)), {
            connected: device.connected(),
            sampledAt: device.usage.last()?.usage.at
          }))
      }
      case "resource": {
        const found = yield* measured(node)
        return found && exposition(resourceMetrics(found.sample, found.pods))
      }
      case "cadvisor": {
        const found = yield* measured(node)
        return found && exposition(cadvisorMetrics(found.sample, found.pods, found.machine))
      }
      case "slis":
        return undefined
    }
  })

  const paths: Pick<KubeletBackend["Service"], "summary" | "metrics" | "configuration"> = {
    metrics,
    summary: (node, options) =>
      Effect.map(
        measured(node),
        (found) => found && statsSummary(node, found.sample, found.pods, { ...options, machine: found.machine })
      ),
    configuration: (node) =>
      Effect.map(fleet.deviceOf(node), (device) =>
        device && kubeletConfiguration({
          port: settings.kubelet?.port,
          maxPods: SubscriptionRef.getUnsafe(device.context.device).spec.pod.allocatable,
          clusterDomain: settings.clusterDomain,
          clusterDns: settings.clusterDns,
          streamIdle: settings.streamIdle ?? "4 hours"
        }))
  }
  return paths
})
