/** The status a pod gets in the API, from what its device reports: times by our clock, addresses only where they mean something. */
import { SubscriptionRef } from "effect"
import type { ContainerState, ContainerStatus, Pod, PodStatus } from "../kube/Pod.ts"
import { parseTimestamp, timestamp } from "../kube/time.ts"
import type { PodReport } from "../pod/PodReport.ts"
import type { DeviceContext } from "./DeviceContext.ts"

/** Clocks that agree this well are left alone: the offset is measured over a link and is not exact. */
const tolerableMillis = 2000

interface Address {
  readonly ip: string
}

/** The API takes the first address and one of the other family, and no more: a device may have many. */
const onePerFamily = (first: string, all: ReadonlyArray<Address> = []): ReadonlyArray<Address> => {
  const other = all.find(({ ip }) => ip.includes(":") !== first.includes(":"))
  return [{ ip: first }, ...other === undefined ? [] : [other]]
}

/**
 * Whether the addresses of a status are others than the API has. Of those that it does not name nothing is said; none at all are
 * withheld.
 */
export const tellsAddresses = (status: PodStatus, before: PodStatus | undefined): boolean =>
  (status.podIPs !== undefined && status.podIP !== before?.podIP)
  || (status.hostIPs !== undefined && status.hostIP !== before?.hostIP)

export const statusFor = (context: DeviceContext, pod: Pod, report: PodReport): PodStatus => {
  const offset = context.clockOffset()
  const time = <T extends string | null | undefined>(text: T): T | string => {
    const millis = Math.abs(offset) < tolerableMillis ? undefined : parseTimestamp(text)
    return millis === undefined ? text : timestamp(millis + offset)
  }
  const state = (given: ContainerState): ContainerState => ({
    ...given,
    ...(given.running === undefined ? {} : { running: times(given.running, time) }),
    ...(given.terminated === undefined ? {} : { terminated: times(given.terminated, time) })
  })
  const container = (given: ContainerStatus): ContainerStatus => ({
    ...given,
    ...(given.state === undefined ? {} : { state: state(given.state) }),
    ...(given.lastState === undefined ? {} : { lastState: state(given.lastState) })
  })

  const { hostIP, hostIPs, podIP, podIPs, ...status } = report.status
  const { publishIP } = SubscriptionRef.getUnsafe(context.device).spec.pod
  const reachable = publishIP === "always" || (publishIP === "auto" && pod.spec.hostNetwork === true)
  return {
    ...status,
    // Where the pod runs, as every kubelet says; nothing routes by it. What is withheld may have been told before.
    ...(publishIP === "never"
      ? { hostIPs: [] }
      : hostIP === undefined
      ? {}
      : { hostIP, hostIPs: onePerFamily(hostIP, hostIPs) }),
    ...(!reachable ? { podIPs: [] } : podIP === undefined ? {} : { podIP, podIPs: onePerFamily(podIP, podIPs) }),
    ...(status.startTime === undefined ? {} : { startTime: time(status.startTime) }),
    ...(status.conditions === undefined
      ? {}
      : {
        conditions: status.conditions.map((condition) => ({
          ...condition,
          ...(condition.lastTransitionTime === undefined
            ? {}
            : { lastTransitionTime: time(condition.lastTransitionTime) })
        }))
      }),
    ...(status.initContainerStatuses === undefined
      ? {}
      : { initContainerStatuses: status.initContainerStatuses.map(container) }),
    ...(status.containerStatuses === undefined ? {} : { containerStatuses: status.containerStatuses.map(container) }),
    ...(status.ephemeralContainerStatuses === undefined
      ? {}
      : { ephemeralContainerStatuses: status.ephemeralContainerStatuses.map(container) })
  }
}

const times = <A extends { readonly startedAt?: string | null; readonly finishedAt?: string | null }>(
  given: A,
  time: (text: string | null) => string | null
): A => ({
  ...given,
  ...(given.startedAt === undefined ? {} : { startedAt: time(given.startedAt) }),
  ...(given.finishedAt === undefined ? {} : { finishedAt: time(given.finishedAt) })
})
