/** What the runtime is asked for as the pod's surroundings. Pure. */
import type { SandboxSpec } from "../ContainerRuntime.ts"
import type { PodAssignment } from "../PodAssignment.ts"
import { isHostExec } from "../withHostExec.ts"

export const sandboxSpec = (assignment: PodAssignment, attempt: number): SandboxSpec => ({
  uid: assignment.uid,
  namespace: assignment.namespace,
  pod: assignment.name,
  attempt,
  hostname: assignment.hostname,
  hostNetwork: assignment.hostNetwork,
  hostPID: assignment.hostPID,
  hostIPC: assignment.hostIPC,
  shareProcessNamespace: assignment.shareProcessNamespace,
  hostExec: [...assignment.initContainers, ...assignment.containers].every(({ image }) => isHostExec(image)),
  dns: assignment.dns,
  sysctls: assignment.sysctls,
  ports: assignment.containers.flatMap(({ ports }) => ports)
})
