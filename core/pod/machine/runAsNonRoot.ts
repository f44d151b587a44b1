/** The check behind `runAsNonRoot`: what the kubelet says when an image would run as root, or nobody can tell. Pure. */
import type { AssignedContainer, PodAssignment } from "../PodAssignment.ts"

/** Undefined when the container may run. */
export const rootRefusal = (
  { name, namespace, uid }: PodAssignment,
  { name: container, security }: AssignedContainer,
  /** The user the image asks for. */
  imageUser: string | undefined
): string | undefined => {
  if (!security.runAsNonRoot) return undefined
  const where = `(pod: "${name}_${namespace}(${uid})", container: ${container})`
  if (security.runAsUser !== undefined) {
    return security.runAsUser === 0 ? `container's runAsUser breaks non-root policy ${where}` : undefined
  }
  const user = (imageUser ?? "").split(":")[0] ?? ""
  if (user === "" || /^0+$/.test(user)) return `container has runAsNonRoot and image will run as root ${where}`
  return /^\d+$/.test(user)
    ? undefined
    : `container has runAsNonRoot and image has non-numeric user (${user}), cannot verify user is non-root ${where}`
}
