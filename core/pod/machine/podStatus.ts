/** The whole status of a pod from what the machine remembers and what it sees. Pure. */
import type { PodStatus } from "../../kube/Pod.ts"
import { timestamp } from "../../kube/time.ts"
import type { Container } from "../ContainerRuntime.ts"
import type { AssignedContainer } from "../PodAssignment.ts"
import { containerStatus, type ContainerView } from "./containerStatus.ts"
import type { Waiting } from "./planPod.ts"
import { podConditions } from "./podConditions.ts"
import { podPhase } from "./podPhase.ts"
import { hasInitialized, type PodState } from "./PodState.ts"

export interface StatusInput {
  readonly state: PodState
  /** Newest attempts that run, by container name. */
  readonly running: ReadonlyMap<string, Container>
  readonly waiting: ReadonlyMap<string, Waiting>
  readonly sandbox: { readonly ready: boolean; readonly ips: ReadonlyArray<string> }
  readonly hostIPs: ReadonlyArray<string>
  readonly runtimeName: string
  readonly now: number
}

const addresses = (ips: ReadonlyArray<string>) => ips.map((ip) => ({ ip }))

export const podIPs = (input: Pick<StatusInput, "state" | "sandbox" | "hostIPs">): ReadonlyArray<string> =>
  !input.sandbox.ready ? [] : input.state.assignment.hostNetwork ? input.hostIPs : input.sandbox.ips

// Allocated resources of a live resize join here.
export const podStatus = (input: StatusInput): PodStatus => {
  const { assignment, containers: records, pod } = input.state
  const before = pod.report?.status
  const over = pod.stage === "Terminated"
  const initialized = hasInitialized(input.state)
  const view = (kind: ContainerView["kind"]) => (container: AssignedContainer) =>
    containerStatus({
      container,
      kind,
      hasInitContainers: assignment.initContainers.length > 0,
      record: records.get(container.name),
      running: input.running.get(container.name),
      waiting: input.waiting.get(container.name),
      runtimeName: input.runtimeName,
      lost: over && kind === "regular" && initialized,
      ending: pod.stage !== "Sync"
    })
  const initContainers = assignment.initContainers.map(view("init"))
  const containers = assignment.containers.map(view("regular"))
  const ephemeralContainers = assignment.ephemeralContainers.map(view("ephemeral"))

  const ending = over ? pod.ending : undefined
  const failed = ending !== undefined && ending.reason !== ""
  const computed = podPhase({ restartPolicy: assignment.restartPolicy, initContainers, containers, initialized, over })
  // A terminal phase is only told once nothing can run any more, and it is never left again.
  const told = before?.phase === "Succeeded" || before?.phase === "Failed" ? before.phase : undefined
  const computedNow = !over && (computed === "Succeeded" || computed === "Failed")
    ? before?.phase ?? "Pending"
    : computed
  const phase = told ?? (failed ? "Failed" : computedNow)

  const ips = podIPs(input)
  // Addresses of a pod that ended stay readable, as a kubelet leaves them.
  const shown = ips.length > 0 || !over ? ips : before?.podIPs?.map(({ ip }) => ip) ?? []
  return {
    observedGeneration: assignment.generation,
    phase,
    ...(failed ? { reason: ending.reason, message: ending.message } : {}),
    conditions: podConditions({
      phase,
      generation: assignment.generation,
      initContainers,
      containers,
      initialized,
      sandboxReady: input.sandbox.ready,
      now: input.now,
      before: before?.conditions ?? []
    }),
    ...(input.hostIPs[0] === undefined ? {} : { hostIP: input.hostIPs[0], hostIPs: addresses(input.hostIPs) }),
    ...(shown[0] === undefined ? {} : { podIP: shown[0], podIPs: addresses(shown) }),
    startTime: timestamp(pod.startedAt),
    qosClass: assignment.qosClass,
    ...(initContainers.length === 0 ? {} : { initContainerStatuses: initContainers }),
    containerStatuses: containers,
    ...(ephemeralContainers.length === 0 ? {} : { ephemeralContainerStatuses: ephemeralContainers })
  }
}
