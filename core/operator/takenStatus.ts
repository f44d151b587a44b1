/**
 * A status as the API takes it. A container that ended goes on for it only where the pod's restart policy lets it; a device may have
 * run it again all the same: in a sandbox made anew, or after it was wiped. Such a one is left as it ended, and the rest is told.
 */
import type { ContainerStatus, Pod, PodStatus } from "../kube/Pod.ts"

const hasEnded = ({ state }: ContainerStatus): boolean => state?.terminated !== undefined

const goesOn = (pod: Pod, { state }: ContainerStatus): boolean => {
  const { restartPolicy = "Always" } = pod.spec
  return restartPolicy === "Always" || (restartPolicy === "OnFailure" && state?.terminated?.exitCode !== 0)
}

const keepEnds = (
  before: ReadonlyArray<ContainerStatus> = [],
  after: ReadonlyArray<ContainerStatus>,
  mayGoOn: (ended: ContainerStatus) => boolean
): ReadonlyArray<ContainerStatus> =>
  after.map((status) => {
    const ended = before.find(({ name }) => name === status.name)
    return ended === undefined || !hasEnded(ended) || hasEnded(status) || mayGoOn(ended) ? status : ended
  })

export const takenStatus = (pod: Pod, status: PodStatus): PodStatus => {
  const { containerStatuses, ephemeralContainerStatuses, initContainerStatuses } = status
  const before = pod.status
  const byPolicy = (ended: ContainerStatus) => goesOn(pod, ended)
  return {
    ...status,
    // It is for good.
    ...(status.qosClass === undefined || before?.qosClass === undefined ? {} : { qosClass: before.qosClass }),
    ...(initContainerStatuses === undefined
      ? {}
      : { initContainerStatuses: keepEnds(before?.initContainerStatuses, initContainerStatuses, byPolicy) }),
    ...(containerStatuses === undefined
      ? {}
      : { containerStatuses: keepEnds(before?.containerStatuses, containerStatuses, byPolicy) }),
    ...(ephemeralContainerStatuses === undefined ? {} : {
      ephemeralContainerStatuses: keepEnds(before?.ephemeralContainerStatuses, ephemeralContainerStatuses, () => false)
    })
  }
}
