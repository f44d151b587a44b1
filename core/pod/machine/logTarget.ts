/** Which run's log somebody means, or the kubelet's words about why there is none. Pure. */
import { Result } from "effect"
import type { ContainerStatus } from "../../kube/Pod.ts"
import { PodStreamError } from "../PodRuntime.ts"

const refuse = (reason: PodStreamError["reason"], detail: string) => Result.fail(new PodStreamError({ reason, detail }))

/** `docker://abc` without its scheme. */
const bare = (containerId: string | undefined): string => containerId?.replace(/^[^:]*:\/\//, "") ?? ""

export const logTarget = (
  pod: string,
  container: string,
  status: ContainerStatus | undefined,
  previous: boolean
): Result.Result<string, PodStreamError> => {
  const subject = `container "${container}" in pod "${pod}"`
  if (status === undefined) return refuse("NotReady", `${subject} is not available`)
  const last = bare(status.lastState?.terminated?.containerID)
  if (previous) {
    return last === "" ? refuse("NotReady", `previous terminated ${subject} not found`) : Result.succeed(last)
  }
  const { state } = status
  if (state?.running !== undefined) return Result.succeed(bare(status.containerID))
  if (state?.terminated !== undefined) {
    const own = bare(state.terminated.containerID)
    const known = own === "" ? last : own
    return known === "" ? refuse("NotReady", `${subject} is terminated`) : Result.succeed(known)
  }
  if (status.lastState?.terminated !== undefined) {
    return last === "" ? refuse("NotReady", `${subject} is terminated`) : Result.succeed(last)
  }
  switch (state?.waiting?.reason) {
    case undefined:
      return refuse("NotReady", `${subject} is waiting to start - no logs yet`)
    case "ErrImagePull":
      return refuse("NotReady", `${subject} is waiting to start: image can't be pulled`)
    case "ImagePullBackOff":
      return refuse("NotReady", `${subject} is waiting to start: trying and failing to pull image`)
    default:
      return refuse("NotReady", `${subject} is waiting to start: ${state?.waiting?.reason}`)
  }
}
