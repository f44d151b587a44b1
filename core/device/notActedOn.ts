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

const otherMethod = "devices connect by gRPC or MQTT, so remove it and set spec.connectivity.method to grpc or mqtt"
const inBasicAuth =
  "put username and password into a Secret of type kubernetes.io/basic-auth and name it in spec.connectivity.mqtt.userPassRef"
const devicesOwn = "the device runs pods with what its own configuration allows, so remove it"

export const notActedOn: ReadonlyArray<NotActedOn> = [
  { path: "spec.connectivity.amqp", kind: "section", remedy: otherMethod },
  { path: "spec.connectivity.azureIoTHub", kind: "section", remedy: otherMethod },
  { path: "spec.connectivity.gcpIoTCore", kind: "section", remedy: otherMethod },
  {
    path: "spec.connectivity.mqtt.connectPacket.username",
    kind: "text",
    remedy: inBasicAuth
  },
  {
    path: "spec.connectivity.mqtt.connectPacket.password",
    kind: "section",
    remedy: inBasicAuth
  },
  {
    path: "spec.node.metrics",
    kind: "section",
    remedy: "what is measured cannot be chosen, so remove it; how often is metrics.minInterval of the operator"
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
    remedy: "what is measured cannot be chosen, so remove it; how often is metrics.minInterval of the operator"
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

/** Values that fields have had or may have some day: known, so that their refusal says what to write. */
export interface RefusedValue {
  readonly path: string
  readonly value: string
  /** What to do instead, an imperative without a full stop. */
  readonly remedy: string
}

export const refusedValues: ReadonlyArray<RefusedValue> = [
  {
    path: "spec.connectivity.mqtt.variant",
    value: "azure-iot-hub",
    remedy: "it is not spoken at both ends yet: use a broker of variant standard or aws-iot-core"
  },
  {
    path: "spec.connectivity.mqtt.variant",
    value: "gcp-iot-core",
    remedy: "its service has ended: use a broker of variant standard or aws-iot-core"
  }
]

export const valueSentence = ({ path, remedy, value }: RefusedValue): string =>
  `${path} ${JSON.stringify(value)} is not supported by this version: ${remedy}.`

const will = "the link notices by itself when the device or the operator is gone"

/** Fields whose purpose is met without them: accepted with a warning. */
export const needless: ReadonlyArray<{
  readonly path: string
  readonly type: "string" | "boolean" | "integer"
  readonly reason: string
}> = [
  {
    path: "spec.connectivity.mqtt.connectPacket.cleanSession",
    type: "boolean",
    reason: "the link keeps sessions of its own, and those with the broker are always clean"
  },
  { path: "spec.connectivity.mqtt.connectPacket.will", type: "boolean", reason: will },
  { path: "spec.connectivity.mqtt.connectPacket.willQos", type: "integer", reason: will },
  { path: "spec.connectivity.mqtt.connectPacket.willRetain", type: "boolean", reason: will },
  { path: "spec.connectivity.mqtt.connectPacket.willTopic", type: "string", reason: will },
  { path: "spec.connectivity.mqtt.connectPacket.willMessage", type: "string", reason: will }
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
