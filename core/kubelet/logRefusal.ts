/** Why a container has no log to show, in the sentences that users of kubectl know. */
import type { ContainerStatus, Pod } from "../kube/Pod.ts"
import { isMirrorPod } from "../node/hostPod.ts"

const waitingWords = (reason: string | undefined): string => {
  switch (reason) {
    case undefined:
    case "":
      return "is waiting to start - no logs yet"
    case "ErrImagePull":
      return "is waiting to start: image can't be pulled"
    case "ImagePullBackOff":
      return "is waiting to start: trying and failing to pull image"
    default:
      return `is waiting to start: ${reason}`
  }
}

const isKept = (terminated: { readonly containerID?: string } | undefined) => (terminated?.containerID ?? "") !== ""

export const hasContainer = (pod: Pod, container: string): boolean =>
  [...pod.spec.containers, ...(pod.spec.initContainers ?? []), ...(pod.spec.ephemeralContainers ?? [])].some(
    ({ name }) => name === container
  )

/**
 * Undefined where there is a log: of the running container, of the one that ended last, or of the one before it where
 * `previous` asks for that or the newest never started.
 */
export const logRefusal = (pod: Pod, container: string, previous: boolean): string | undefined => {
  // No container's log: the agent knows by itself which ones it has.
  if (isMirrorPod(pod)) return undefined
  const name = pod.metadata.name ?? ""
  const statuses: ReadonlyArray<ContainerStatus> = [
    ...(pod.status?.containerStatuses ?? []),
    ...(pod.status?.initContainerStatuses ?? []),
    ...(pod.status?.ephemeralContainerStatuses ?? [])
  ]
  const status = statuses.find((candidate) => candidate.name === container)
  if (status === undefined) return `container "${container}" in pod "${name}" is not available`
  const { running, terminated, waiting } = status.state ?? {}
  const last = status.lastState?.terminated
  if (previous) {
    return isKept(last) ? undefined : `previous terminated container "${container}" in pod "${name}" not found`
  }
  if (running !== undefined || isKept(terminated) || isKept(last)) return undefined
  return terminated !== undefined || last !== undefined
    ? `container "${container}" in pod "${name}" is terminated`
    : `container "${container}" in pod "${name}" ${waitingWords(waiting?.reason)}`
}
