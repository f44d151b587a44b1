/** The pods of a sample as the API knows them: only what both know of is told. Pure. */
import type { ContainerStatus, Pod } from "../kube/Pod.ts"
import type { ContainerUsage, NetworkUsage } from "./DeviceUsage.ts"
import { type NodeSample, rate } from "./NodeSample.ts"

export interface MeasuredContainer {
  readonly usage: ContainerUsage
  /** Billionths of a core; undefined before the second sample of a run. */
  readonly nanoCores: number | undefined
  readonly status: ContainerStatus | undefined
}

export interface MeasuredPod {
  readonly pod: Pod
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly cpuNanoseconds: number
  readonly nanoCores: number | undefined
  readonly network: NetworkUsage | undefined
  readonly containers: ReadonlyArray<MeasuredContainer>
}

export const measuredPods = (sample: NodeSample, pods: ReadonlyArray<Pod>): ReadonlyArray<MeasuredPod> => {
  const byUid = new Map(sample.usage.pods.map((usage) => [usage.uid, usage]))
  const { before } = sample
  return pods.flatMap((pod): ReadonlyArray<MeasuredPod> => {
    const { name = "", namespace = "", uid = "" } = pod.metadata
    const usage = byUid.get(uid)
    if (usage === undefined) return []
    const earlier = before?.usage.pods.find((each) => each.uid === uid)
    const cpuNanoseconds = sample.podCpu.get(uid) ?? 0
    const cpuBefore = before?.podCpu.get(uid)
    const statuses = [...pod.status?.initContainerStatuses ?? [], ...pod.status?.containerStatuses ?? []]
    const { at } = sample.usage
    return [{
      pod,
      uid,
      namespace,
      name,
      cpuNanoseconds,
      nanoCores: before === undefined || cpuBefore === undefined
        ? undefined
        : rate({ at, cpuNanoseconds }, { at: before.usage.at, cpuNanoseconds: cpuBefore }),
      network: usage.network,
      containers: usage.containers.map((container) => {
        const last = earlier?.containers.find((each) => each.name === container.name)
        return {
          usage: container,
          nanoCores: before === undefined || last === undefined
            ? undefined
            : rate({ at, cpuNanoseconds: container.cpuNanoseconds }, {
              at: before.usage.at,
              cpuNanoseconds: last.cpuNanoseconds
            }),
          status: statuses.find((status) => status.name === container.name)
        }
      })
    }]
  }).toSorted((a, b) => a.namespace === b.namespace ? (a.name < b.name ? -1 : 1) : a.namespace < b.namespace ? -1 : 1)
}
