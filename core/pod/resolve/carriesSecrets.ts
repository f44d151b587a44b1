/** Whether a pod's assignment holds anything of a Secret: such a message is not compressed, for its length would tell of it. */
import type { Pod } from "../../kube/Pod.ts"
import type { PodAssignment } from "../PodAssignment.ts"

export const carriesSecrets = (pod: Pod, { pullCredentials, volumes }: PodAssignment): boolean =>
  pullCredentials.length > 0 ||
  volumes.some((volume) => volume._tag === "Files" && volume.secret) ||
  [...pod.spec.containers, ...pod.spec.initContainers ?? [], ...pod.spec.ephemeralContainers ?? []].some((
    { env = [], envFrom = [] }
  ) =>
    env.some(({ valueFrom }) => valueFrom?.secretKeyRef !== undefined) ||
    envFrom.some(({ secretRef }) => secretRef !== undefined)
  )
