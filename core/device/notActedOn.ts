/** Fields that EdgeDevices have had and that this version does not act on: refused by name, never stored silently. */
import { isJsonObject } from "./path.ts"

export interface NotActedOn {
  readonly path: string
  /**
   * How the field asks for something: `section` by being there, `list` by an entry, `text` by a character,
   * `enabled` by `enabled: true` or by anything besides `enabled`.
   */
  readonly kind: "section" | "list" | "text" | "enabled"
  /** What to do instead, an imperative without a full stop. */
  readonly remedy: string
}

const grpcOnly = "devices connect by gRPC, so remove it and set spec.connectivity.method to grpc"
const devicesOwn = "the device runs pods with what its own configuration allows, so remove it"

export const notActedOn: ReadonlyArray<NotActedOn> = [
  { path: "spec.connectivity.mqtt", kind: "section", remedy: grpcOnly },
  { path: "spec.connectivity.amqp", kind: "section", remedy: grpcOnly },
  { path: "spec.connectivity.azureIoTHub", kind: "section", remedy: grpcOnly },
  { path: "spec.connectivity.gcpIoTCore", kind: "section", remedy: grpcOnly },
  {
    path: "spec.connectivity.backoff",
    kind: "section",
    remedy:
      "the device dials, so set connectivity.initialBackoff, maxBackoff and backoffFactor in arhat's configuration"
  },
  {
    path: "spec.node.metrics",
    kind: "section",
    remedy: "node metrics are not collected yet, so remove it"
  },
  {
    path: "spec.node.fieldHooks",
    kind: "list",
    remedy: "write what they would compute into spec.node.labels and spec.node.annotations"
  },
  {
    path: "spec.node.rbac",
    kind: "section",
    remedy: "grant access to nodes with ordinary ClusterRoles and their resourceNames"
  },
  {
    path: "spec.node.storage",
    kind: "section",
    remedy: devicesOwn
  },
  {
    path: "spec.pod.ipv4CIDR",
    kind: "text",
    remedy: "pods get the addresses of the device's container runtime, so configure the range there"
  },
  {
    path: "spec.pod.ipv6CIDR",
    kind: "text",
    remedy: "pods get the addresses of the device's container runtime, so configure the range there"
  },
  {
    path: "spec.pod.metrics",
    kind: "section",
    remedy: "container metrics are not collected yet, so remove it"
  },
  {
    path: "spec.pod.rbac",
    kind: "section",
    remedy: "grant access to pods with ordinary Roles and their resourceNames"
  },
  {
    path: "spec.storage",
    kind: "enabled",
    remedy: "volumes of storage classes cannot be mounted on devices, so remove it"
  },
  {
    path: "spec.network",
    kind: "enabled",
    remedy: "there is no cluster network between devices, so remove it"
  },
  {
    path: "spec.peripherals",
    kind: "list",
    remedy: "peripherals are not served yet, so remove them"
  },
  {
    path: "spec.metricsReporters",
    kind: "list",
    remedy: "peripheral metrics are not served yet, so remove them"
  }
]

/** Fields whose purpose is met without them: accepted with a warning. */
export const needless: ReadonlyArray<{ readonly path: string; readonly reason: string }> = [
  {
    path: "spec.node.timers.forceSyncInterval",
    reason: "the device tells each change of itself and everything at each new session"
  },
  {
    path: "spec.pod.timers.forceSyncInterval",
    reason: "device and operator compare what they hold at each new session, and the device tells each change"
  }
]

export const asks = (field: Pick<NotActedOn, "kind">, value: unknown): boolean => {
  if (value === undefined || value === null) return false
  switch (field.kind) {
    case "section":
      return true
    case "list":
      return !Array.isArray(value) || value.length > 0
    case "text":
      return value !== ""
    case "enabled":
      return !isJsonObject(value) || Object.entries(value).some(([key, inner]) => key !== "enabled" || inner !== false)
  }
}

/** The one sentence the owner sees, from the API server (a CEL rule) or in the Invalid condition. */
export const sentenceFor = (field: NotActedOn): string =>
  `${field.path} is not supported by this version: ${field.remedy}.`
