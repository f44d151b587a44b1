/** `/metrics/cadvisor`: what dashboards for Kubernetes read of containers, under cadvisor's names and labels. Pure. */
import type { Container } from "../kube/Pod.ts"
import { parseQuantity } from "../pod/resolve/quantity.ts"
import type { MetricFamily } from "./exposition.ts"
import type { MeasuredContainer, MeasuredPod } from "./measuredPods.ts"
import type { NodeSample } from "./NodeSample.ts"
import { seconds, total } from "./resourceMetrics.ts"

type Sample = MetricFamily["samples"][number]
type Labels = Sample["labels"]

/** Microseconds, as container runtimes set it. */
const cpuPeriod = 100_000

/** `docker://abc` without its scheme. */
const bare = (containerId: string | undefined): string => containerId?.replace(/^[^:]*:\/\//, "") ?? ""

const quantity = (container: Container, kind: "limits" | "requests", name: string): number | undefined => {
  const value = container.resources?.[kind]?.[name]
  const nanos = value === undefined ? undefined : parseQuantity(value)
  return nanos === undefined ? undefined : Number(nanos) / 1e9
}

/** Of all, of each pod and of each container: cadvisor tells them apart by labels that are empty. */
const labelsOf = (pod: MeasuredPod, container?: MeasuredContainer): Labels => {
  const id = bare(container?.status?.containerID)
  return {
    container: container?.usage.name ?? "",
    id: `/kubepods/pod${pod.uid}${container === undefined ? "" : `/${id}`}`,
    image: container?.status?.image ?? "",
    name: id,
    namespace: pod.namespace,
    pod: pod.name
  }
}
const ofRoot: Labels = { container: "", id: "/", image: "", name: "", namespace: "", pod: "" }

export const cadvisorMetrics = (
  { usage: { at, host } }: NodeSample,
  pods: ReadonlyArray<MeasuredPod>,
  machine: { readonly cpuMillis: number; readonly memoryBytes: number }
): ReadonlyArray<MetricFamily> => {
  const family = (
    name: string,
    type: MetricFamily["type"],
    help: string,
    samples: ReadonlyArray<readonly [labels: Labels, value: number | undefined]>
  ): MetricFamily => ({
    name,
    help,
    type,
    samples: samples.flatMap(([labels, value]) => value === undefined ? [] : [{ labels, value, at }])
  })
  const ofContainers = (value: (container: MeasuredContainer, pod: MeasuredPod) => number | undefined) =>
    pods.flatMap((pod) => pod.containers.map((container) => [labelsOf(pod, container), value(container, pod)] as const))
  const ofAll = (value: (container: MeasuredContainer) => number, root: number) => [
    ...(root === 0 ? [] : [[ofRoot, root] as const]),
    ...pods.map((pod) => [labelsOf(pod), total(pod.containers, value)] as const),
    ...ofContainers(value)
  ]
  const specOf = (read: (container: Container) => number | undefined) =>
    ofContainers(({ usage: { name } }, { pod: { spec } }) => {
      const container = [...spec.initContainers ?? [], ...spec.containers].find((each) => each.name === name)
      return container === undefined ? undefined : read(container)
    })
  const network = (value: (pod: NonNullable<MeasuredPod["network"]>) => number, root: number) => [
    [{ ...ofRoot, interface: "all" }, root] as const,
    ...pods.flatMap((pod) =>
      pod.network === undefined ? [] : [[{ ...labelsOf(pod), interface: "eth0" }, value(pod.network)] as const]
    )
  ]
  const cpu: ReadonlyArray<readonly [Labels, number]> = [
    [ofRoot, seconds(host.cpuNanoseconds)],
    ...pods.map((pod) => [labelsOf(pod), seconds(pod.cpuNanoseconds)] as const),
    ...ofContainers(({ usage }) => seconds(usage.cpuNanoseconds)).map(([labels, value = 0]) => [labels, value] as const)
  ]
  return [
    family(
      "container_cpu_usage_seconds_total",
      "counter",
      "Processor time used, in core-seconds.",
      cpu.map(([labels, value]) => [{ ...labels, cpu: "total" }, value])
    ),
    family(
      "container_memory_usage_bytes",
      "gauge",
      "Memory in use, page cache included.",
      ofAll(({ usage }) => usage.memoryUsedBytes, host.memoryUsedBytes)
    ),
    family(
      "container_memory_working_set_bytes",
      "gauge",
      "Memory in use, without what the kernel would give up first.",
      ofAll(({ usage }) => usage.memoryWorkingSetBytes, host.memoryWorkingSetBytes)
    ),
    family(
      "container_memory_rss",
      "gauge",
      "Memory of no file, in bytes.",
      ofAll(({ usage }) => usage.memoryRssBytes, host.memoryRssBytes)
    ),
    family(
      "container_start_time_seconds",
      "gauge",
      "When a container started, in seconds since the epoch.",
      ofContainers(({ usage }) => usage.startedAt / 1000)
    ),
    family(
      "container_last_seen",
      "gauge",
      "When a container was last measured, in seconds since the epoch.",
      ofContainers(() => Math.floor(at / 1000))
    ),
    family(
      "container_network_receive_bytes_total",
      "counter",
      "Bytes that came in by a pod's network.",
      network(({ receivedBytes }) => receivedBytes, host.network.receivedBytes)
    ),
    family(
      "container_network_transmit_bytes_total",
      "counter",
      "Bytes that went out by a pod's network.",
      network(({ sentBytes }) => sentBytes, host.network.sentBytes)
    ),
    family(
      "container_spec_cpu_period",
      "gauge",
      "Period of the quota, in microseconds.",
      specOf((container) => quantity(container, "limits", "cpu") === undefined ? undefined : cpuPeriod)
    ),
    family(
      "container_spec_cpu_quota",
      "gauge",
      "Processor time that a container may use in a period, in microseconds.",
      specOf((container) => {
        const cores = quantity(container, "limits", "cpu")
        return cores === undefined ? undefined : Math.round(cores * cpuPeriod)
      })
    ),
    family(
      "container_spec_cpu_shares",
      "gauge",
      "Share of the processor where it is short.",
      specOf((container) => {
        const cores = quantity(container, "requests", "cpu") ?? quantity(container, "limits", "cpu")
        return cores === undefined ? 2 : Math.max(2, Math.floor(cores * 1024))
      })
    ),
    family(
      "container_spec_memory_limit_bytes",
      "gauge",
      "Memory that a container may use; 0 is all.",
      specOf((container) => quantity(container, "limits", "memory") ?? 0)
    ),
    family("machine_cpu_cores", "gauge", "Cores of the device.", [[{}, machine.cpuMillis / 1000]]),
    family("machine_memory_bytes", "gauge", "Memory of the device.", [[{}, machine.memoryBytes]])
  ]
}
