/** `/stats/summary` in the shape of a kubelet's: usage of the node and of its pods as JSON. Pure. */
import { timestamp } from "../kube/time.ts"
import type { NetworkUsage } from "./DeviceUsage.ts"
import type { MeasuredContainer, MeasuredPod } from "./measuredPods.ts"
import { type NodeSample, rate } from "./NodeSample.ts"
import { total } from "./resourceMetrics.ts"

const cpu = (time: string, cpuNanoseconds: number, nanoCores: number | undefined) => ({
  time,
  ...(nanoCores === undefined ? {} : { usageNanoCores: nanoCores }),
  usageCoreNanoSeconds: cpuNanoseconds
})

const memory = (
  time: string,
  usage: {
    readonly memoryUsedBytes: number
    readonly memoryWorkingSetBytes: number
    readonly memoryRssBytes: number
  },
  available?: number
) => ({
  time,
  ...(available === undefined ? {} : { availableBytes: available }),
  usageBytes: usage.memoryUsedBytes,
  workingSetBytes: usage.memoryWorkingSetBytes,
  ...(usage.memoryRssBytes === 0 ? {} : { rssBytes: usage.memoryRssBytes })
})

/** Of the interface by which the pod, or the device, reaches others. */
const network = (time: string, { receivedBytes, sentBytes }: NetworkUsage) => {
  const one = { name: "eth0", rxBytes: receivedBytes, txBytes: sentBytes }
  return { time, ...one, interfaces: [one] }
}

const sumOf = (containers: ReadonlyArray<MeasuredContainer>) => ({
  memoryUsedBytes: total(containers, ({ usage }) => usage.memoryUsedBytes),
  memoryWorkingSetBytes: total(containers, ({ usage }) => usage.memoryWorkingSetBytes),
  memoryRssBytes: total(containers, ({ usage }) => usage.memoryRssBytes)
})

export const statsSummary = (
  node: string,
  { before, usage: { at, host } }: NodeSample,
  pods: ReadonlyArray<MeasuredPod>,
  options: {
    readonly onlyCpuAndMemory: boolean
    readonly machine: { readonly memoryBytes: number; readonly storageBytes: number }
  }
): unknown => {
  const { machine, onlyCpuAndMemory } = options
  const time = timestamp(at)
  const more = <A extends object>(parts: A): Partial<A> => onlyCpuAndMemory ? {} : parts
  const nodeRate = rate(
    { at, cpuNanoseconds: host.cpuNanoseconds },
    before && { at: before.usage.at, cpuNanoseconds: before.usage.host.cpuNanoseconds }
  )
  return {
    node: {
      nodeName: node,
      ...(host.bootedAt === 0 ? {} : { startTime: timestamp(host.bootedAt) }),
      cpu: cpu(time, host.cpuNanoseconds, nodeRate),
      memory: memory(time, host, Math.max(0, machine.memoryBytes - host.memoryWorkingSetBytes)),
      ...more({
        network: network(time, host.network),
        fs: {
          time,
          availableBytes: host.storageAvailableBytes,
          capacityBytes: machine.storageBytes,
          usedBytes: host.storageUsedBytes,
          inodesFree: host.inodesFree,
          inodes: host.inodes,
          inodesUsed: Math.max(0, host.inodes - host.inodesFree)
        },
        rlimit: { time, curproc: host.processes }
      })
    },
    pods: pods.map(({ containers, cpuNanoseconds, name, namespace, nanoCores, pod, ...measured }) => ({
      podRef: { name, namespace, uid: measured.uid },
      ...(pod.status?.startTime === undefined || pod.status.startTime === null
        ? {}
        : { startTime: pod.status.startTime }),
      containers: containers.map(({ nanoCores, usage }) => ({
        name: usage.name,
        startTime: timestamp(usage.startedAt),
        cpu: cpu(time, usage.cpuNanoseconds, nanoCores),
        memory: memory(time, usage)
      })),
      cpu: cpu(time, cpuNanoseconds, nanoCores),
      memory: memory(time, sumOf(containers)),
      ...(measured.network === undefined ? {} : more({ network: network(time, measured.network) }))
    }))
  }
}
