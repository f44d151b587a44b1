/** The Node's status: what a kubelet would say of this device (kubelet contract, section 1), with aranya's own condition. */
import type { EdgeDevice } from "../device/EdgeDevice.ts"
import type { Node, NodeAddress, NodeCondition, NodeStatus } from "../kube/Node.ts"
import { timestamp } from "../kube/time.ts"
import { formatBytes, formatCpu, parseQuantity } from "../pod/resolve/quantity.ts"
import type { NodeReport } from "../wire/Event.ts"
import { outOfServiceTaint } from "./nodeNames.ts"

/** Whether somebody has given the machine up: its pods are replaced, whatever it still holds of them. */
export const isOutOfService = (node: Node | undefined): boolean =>
  node?.spec?.taints?.some(({ key }) => key === outOfServiceTaint) === true

/** Why a device is away, where it can be told. */
export type DisconnectReason = "LinkDown" | "BrokerDown" | "AgentDown" | "DeviceDown" | "NeverConnected"

const absences: Readonly<Record<DisconnectReason, string>> = {
  LinkDown: "the link to the device is down; what it runs goes on",
  BrokerDown: "the broker between aranya and the device cannot be reached; what the device runs goes on",
  AgentDown: "arhat was stopped on the device; what it runs goes on",
  DeviceDown: "the device was shut down",
  NeverConnected: "the device has not connected yet"
}
export const absenceSentence = (reason: DisconnectReason): string => absences[reason]

export interface DeviceState {
  /** As the device said last; undefined before its first session. */
  readonly report: NodeReport | undefined
  readonly connected: boolean
  readonly disconnectReason: DisconnectReason
  /** What is known of it besides the reason, as the rest of a sentence. */
  readonly disconnectDetail?: string | undefined
  /** Longer away than `spec.partition.notReadyAfter`. */
  readonly awayTooLong: boolean
  /** Away, and somebody has given it up by the taint for that. */
  readonly givenUp: boolean
  readonly version: string
  readonly kubelet: { readonly address: string; readonly port: number } | undefined
}

type Draft = Omit<NodeCondition, "lastHeartbeatTime" | "lastTransitionTime">

const pressure = (
  type: string,
  under: boolean,
  good: readonly [reason: string, message: string],
  bad: readonly [reason: string, message: string]
): Draft => ({
  type,
  status: under ? "True" : "False",
  reason: (under ? bad : good)[0],
  message: (under ? bad : good)[1]
})

const drafts = (state: DeviceState): ReadonlyArray<Draft> => {
  const { connected, report } = state
  const connection: Draft = connected
    ? { type: "DeviceConnected", status: "True", reason: "Connected", message: "the device is connected" }
    : {
      type: "DeviceConnected",
      status: "False",
      reason: state.disconnectReason,
      message: state.disconnectReason === "BrokerDown" && state.disconnectDetail !== undefined
        ? `the way to the device is down (${state.disconnectDetail}); what it runs goes on`
        : absences[state.disconnectReason]
    }
  if (report === undefined) {
    return [
      {
        type: "Ready",
        status: "False",
        reason: "KubeletNotReady",
        message: "the device has not connected yet"
      },
      connection
    ]
  }
  return [
    pressure(
      "MemoryPressure",
      report.pressure.memory,
      ["KubeletHasSufficientMemory", "kubelet has sufficient memory available"],
      ["KubeletHasInsufficientMemory", "kubelet has insufficient memory available"]
    ),
    pressure(
      "DiskPressure",
      report.pressure.disk,
      ["KubeletHasNoDiskPressure", "kubelet has no disk pressure"],
      ["KubeletHasDiskPressure", "kubelet has disk pressure"]
    ),
    pressure(
      "PIDPressure",
      report.pressure.pids,
      ["KubeletHasSufficientPID", "kubelet has sufficient PID available"],
      ["KubeletHasInsufficientPID", "kubelet has insufficient PID available"]
    ),
    {
      type: "NetworkUnavailable",
      status: "False",
      reason: "DeviceNetwork",
      message: "pods use the device's own network"
    },
    // A device that is away goes on with its work (policy keep): its Node stays Ready, nothing is evicted.
    state.givenUp
      ? {
        type: "Ready",
        status: "False",
        reason: "OutOfService",
        message: `the device is away, and its Node has taint ${outOfServiceTaint}`
      }
      : state.awayTooLong
      ? {
        type: "Ready",
        status: "False",
        reason: "DeviceDisconnected",
        message: "the device is away for longer than spec.partition.notReadyAfter"
      }
      : report.runtime.name === ""
      ? { type: "Ready", status: "False", reason: "KubeletNotReady", message: "the container runtime does not answer" }
      : { type: "Ready", status: "True", reason: "KubeletReady", message: "kubelet is posting ready status" },
    connection
  ]
}

/** Heartbeats are now; a transition is only where the status flips. */
const conditions = (
  state: DeviceState,
  before: ReadonlyArray<NodeCondition>,
  now: number
): ReadonlyArray<NodeCondition> => {
  const time = timestamp(now)
  return drafts(state).map((draft) => {
    const old = before.find(({ type }) => type === draft.type)
    return {
      ...draft,
      lastHeartbeatTime: time,
      lastTransitionTime: old?.status === draft.status && typeof old.lastTransitionTime === "string"
        ? old.lastTransitionTime
        : time
    }
  })
}

/** `v1.36.0-aranya.0.1.0`: schedulers, kubectl and skew checks read it as a version. */
export const kubeletVersion = (version: string) => `v1.36.0-aranya.${version}`

const addresses = (device: EdgeDevice, state: DeviceState): ReadonlyArray<NodeAddress> => [
  // Where the API server reaches the kubelet API of this node, which is aranya; never an address of the device.
  ...(state.kubelet === undefined ? [] : [{ type: "InternalIP", address: state.kubelet.address }]),
  { type: "Hostname", address: device.name }
]

/** As kubelets have it: what is left of the last KiB is nobody's. */
const wholeKibibytes = (bytes: number) => formatBytes(Math.floor(bytes / 1024) * 1024)

export const nodeStatus = (
  device: EdgeDevice,
  state: DeviceState,
  before: NodeStatus | undefined,
  now: number
): NodeStatus => {
  const { report } = state
  const capacity = {
    cpu: formatCpu(report?.host.cpuMillis ?? 0),
    memory: wholeKibibytes(report?.host.memoryBytes ?? 0),
    "ephemeral-storage": wholeKibibytes(report?.host.storageBytes ?? 0),
    // Beside the workloads there is the host pod.
    pods: String(device.spec.pod.allocatable + 1)
  }
  return {
    capacity,
    allocatable: capacity,
    conditions: conditions(state, before?.conditions ?? [], now),
    addresses: addresses(device, state),
    daemonEndpoints: { kubeletEndpoint: { Port: state.kubelet?.port ?? 0 } },
    nodeInfo: {
      machineID: report?.host.machineId ?? "",
      systemUUID: report?.host.systemUuid ?? "",
      bootID: report?.host.bootId ?? "",
      kernelVersion: report?.host.kernelVersion ?? "",
      osImage: report?.host.osImage ?? "",
      containerRuntimeVersion: report === undefined || report.runtime.name === ""
        ? "unknown://0.0.0"
        : `${report.runtime.name}://${report.runtime.version}`,
      kubeletVersion: kubeletVersion(state.version),
      kubeProxyVersion: "",
      operatingSystem: report?.host.operatingSystem ?? "linux",
      architecture: report?.host.architecture ?? ""
    }
  }
}

const resources = ["cpu", "memory", "ephemeral-storage", "pods"]

/** By value, as an API server writes amounts in its own way; resources that somebody else put on the Node are theirs. */
const amounts = (list: NodeStatus["capacity"]) =>
  resources.map((resource) => parseQuantity(list?.[resource] ?? "")?.toString())

/** Without what changes by itself: equal means that there is nothing to write before the next heartbeat. */
const settled = (status: NodeStatus | undefined) =>
  JSON.stringify([
    amounts(status?.capacity),
    amounts(status?.allocatable),
    [...(status?.conditions ?? [])].filter(({ type }) => ours.has(type))
      .map(({ message, reason, status: value, type }) => [type, value, reason, message])
      .sort(([a = ""], [b = ""]) => a < b ? -1 : 1),
    status?.addresses,
    status?.daemonEndpoints,
    status?.nodeInfo
  ], (_, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1))
      : value)

const ours = new Set([
  "Ready",
  "MemoryPressure",
  "DiskPressure",
  "PIDPressure",
  "NetworkUnavailable",
  "DeviceConnected"
])

/** Whether the stored status says something else than ours, be it that we changed or that a controller wrote over it. */
export const differs = (stored: Node, wanted: NodeStatus): boolean => settled(stored.status) !== settled(wanted)

/**
 * The strategic-merge body: two addresses of one type cannot be merged by type, so the list is replaced; conditions of others
 * stay. Of this very version of the Node: another may have its name by now, or somebody else speak for its device.
 */
export const statusPatch = ({ metadata: { resourceVersion, uid } }: Node, status: NodeStatus): unknown => ({
  metadata: { uid, resourceVersion },
  status: { ...status, addresses: [{ $patch: "replace" }, ...(status.addresses ?? [])] }
})
