/** Whose figures they are that the engine tells: those of the newest run of each container, as the pod's status shows it. Pure. */
import { parseTimestamp } from "../../kube/time.ts"
import type { ContainerUsage, PodUsage } from "../../metrics/DeviceUsage.ts"
import type { Usage } from "../ContainerRuntime.ts"
import type { PodState } from "./PodState.ts"

export const podUsage = (
  pods: ReadonlyArray<PodState>,
  usages: ReadonlyArray<Usage>
): ReadonlyArray<PodUsage> => {
  const known = new Map(usages.map((usage) => [usage.containerId, usage]))
  return pods.flatMap(({ assignment, containers, pod }) => {
    const statuses = [
      ...(pod.report?.status.initContainerStatuses ?? []),
      ...(pod.report?.status.containerStatuses ?? [])
    ]
    const measured = [...containers].flatMap(([name, record]): ReadonlyArray<ContainerUsage> => {
      const usage = record.containerId === "" ? undefined : known.get(record.containerId)
      // Started, and the status does not say it yet: the next sample has it.
      const since = statuses.find((status) => status.name === name)?.state?.running?.startedAt
      const startedAt = since === undefined || since === null ? undefined : parseTimestamp(since)
      return usage === undefined || startedAt === undefined ? [] : [{
        name,
        startedAt,
        cpuNanoseconds: usage.cpuNanoseconds,
        memoryUsedBytes: usage.memoryUsedBytes,
        memoryWorkingSetBytes: usage.memoryWorkingSetBytes,
        memoryRssBytes: usage.memoryRssBytes ?? 0
      }]
    }).toSorted((a, b) => a.name < b.name ? -1 : 1)
    const network = known.get(pod.sandboxId)?.network
    return measured.length === 0 ? [] : [{ uid: assignment.uid, containers: measured, network }]
  }).toSorted((a, b) => a.uid < b.uid ? -1 : 1)
}
