/** `/metrics/resource`, which metrics-server reads: CPU, memory and start times, each with the time at which it was measured. Pure. */
import type { MetricFamily } from "./exposition.ts"
import type { MeasuredContainer, MeasuredPod } from "./measuredPods.ts"
import type { NodeSample } from "./NodeSample.ts"

type Sample = MetricFamily["samples"][number]

/** What is 0 could not be read; metrics-server drops a node that uses nothing. */
const known = (samples: ReadonlyArray<Sample>): ReadonlyArray<Sample> => samples.filter(({ value }) => value > 0)

export const seconds = (nanoseconds: number): number => nanoseconds / 1e9

export const resourceMetrics = (
  { usage: { at, host } }: NodeSample,
  pods: ReadonlyArray<MeasuredPod>
): ReadonlyArray<MetricFamily> => {
  const ofContainers = (value: (container: MeasuredContainer) => number) =>
    pods.flatMap(({ containers, name, namespace }) =>
      containers.map((container): Sample => ({
        labels: { container: container.usage.name, namespace, pod: name },
        value: value(container),
        at
      }))
    )
  const ofPods = (value: (pod: MeasuredPod) => number) =>
    pods.map((pod): Sample => ({ labels: { namespace: pod.namespace, pod: pod.name }, value: value(pod), at }))
  const ofNode = (value: number) => known([{ labels: {}, value, at }])
  const noError = (name: string): MetricFamily => ({
    name,
    help: "1 if there was an error while getting metrics, else 0.",
    type: "gauge",
    samples: [{ labels: {}, value: 0 }]
  })
  return [
    {
      name: "node_cpu_usage_seconds_total",
      help: "Processor time that all of the device has used since it booted, in core-seconds.",
      type: "counter",
      samples: ofNode(seconds(host.cpuNanoseconds))
    },
    {
      name: "node_memory_working_set_bytes",
      help: "Memory of the device in use, without what the kernel would give up first.",
      type: "gauge",
      samples: ofNode(host.memoryWorkingSetBytes)
    },
    {
      name: "container_cpu_usage_seconds_total",
      help: "Processor time that a container has used since it started, in core-seconds.",
      type: "counter",
      samples: ofContainers(({ usage }) => seconds(usage.cpuNanoseconds))
    },
    {
      name: "container_memory_working_set_bytes",
      help: "Memory of a container in use, without what the kernel would give up first.",
      type: "gauge",
      samples: ofContainers(({ usage }) => usage.memoryWorkingSetBytes)
    },
    {
      name: "container_start_time_seconds",
      help: "When a container started, in seconds since the epoch.",
      type: "gauge",
      samples: ofContainers(({ usage }) => usage.startedAt / 1000)
    },
    {
      name: "pod_cpu_usage_seconds_total",
      help: "Processor time of all runs of a pod's containers, in core-seconds.",
      type: "counter",
      samples: ofPods(({ cpuNanoseconds }) => seconds(cpuNanoseconds))
    },
    {
      name: "pod_memory_working_set_bytes",
      help: "Memory of a pod's containers in use.",
      type: "gauge",
      samples: ofPods(({ containers }) => total(containers, ({ usage }) => usage.memoryWorkingSetBytes))
    },
    noError("resource_scrape_error"),
    noError("scrape_error")
  ]
}

export const total = (
  containers: ReadonlyArray<MeasuredContainer>,
  value: (container: MeasuredContainer) => number
): number => containers.reduce((sum, container) => sum + value(container), 0)
