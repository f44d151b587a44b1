/** How readily the kernel may kill a container, by quality of service, as the kubelet weighs it. Pure. */
import type { PodAssignment } from "../PodAssignment.ts"

export const oomScoreAdj = (
  qosClass: PodAssignment["qosClass"],
  memoryRequest: number,
  memoryCapacity: number
): number => {
  if (qosClass === "Guaranteed") return -997
  if (qosClass === "BestEffort") return 1000
  if (memoryCapacity <= 0) return 999
  return Math.min(999, Math.max(3, Math.floor(1000 - 1000 * memoryRequest / memoryCapacity)))
}
