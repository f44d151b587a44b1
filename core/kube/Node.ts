/** The Node object, as far as aranya writes or reads it. */
import { Schema } from "effect"
import type { KubeResource } from "./KubeResource.ts"
import { ObjectMeta } from "./ObjectMeta.ts"
import { ResourceList } from "./Pod.ts"

const opt = Schema.optionalKey

export const Taint = Schema.Struct({
  key: Schema.String,
  value: opt(Schema.String),
  effect: Schema.Literals(["NoSchedule", "PreferNoSchedule", "NoExecute"]),
  timeAdded: opt(Schema.NullOr(Schema.String))
})
export type Taint = typeof Taint.Type

export const NodeCondition = Schema.Struct({
  type: Schema.String,
  status: Schema.Literals(["True", "False", "Unknown"]),
  reason: opt(Schema.String),
  message: opt(Schema.String),
  lastHeartbeatTime: opt(Schema.NullOr(Schema.String)),
  lastTransitionTime: opt(Schema.NullOr(Schema.String))
})
export type NodeCondition = typeof NodeCondition.Type

export const NodeAddress = Schema.Struct({ type: Schema.String, address: Schema.String })
export type NodeAddress = typeof NodeAddress.Type

export const NodeSystemInfo = Schema.Struct({
  machineID: Schema.String,
  systemUUID: Schema.String,
  bootID: Schema.String,
  kernelVersion: Schema.String,
  osImage: Schema.String,
  containerRuntimeVersion: Schema.String,
  kubeletVersion: Schema.String,
  kubeProxyVersion: Schema.String,
  operatingSystem: Schema.String,
  architecture: Schema.String
})
export type NodeSystemInfo = typeof NodeSystemInfo.Type

export const NodeStatus = Schema.Struct({
  capacity: opt(ResourceList),
  allocatable: opt(ResourceList),
  conditions: opt(Schema.Array(NodeCondition)),
  addresses: opt(Schema.Array(NodeAddress)),
  daemonEndpoints: opt(Schema.Struct({ kubeletEndpoint: opt(Schema.Struct({ Port: Schema.Number })) })),
  nodeInfo: opt(NodeSystemInfo)
})
export type NodeStatus = typeof NodeStatus.Type

export const Node = Schema.Struct({
  apiVersion: opt(Schema.String),
  kind: opt(Schema.String),
  metadata: ObjectMeta,
  spec: opt(Schema.Struct({
    podCIDR: opt(Schema.String),
    podCIDRs: opt(Schema.Array(Schema.String)),
    providerID: opt(Schema.String),
    unschedulable: opt(Schema.Boolean),
    taints: opt(Schema.Array(Taint))
  })),
  status: opt(NodeStatus)
})
export type Node = typeof Node.Type

export const Nodes: KubeResource<Node> = {
  group: "",
  version: "v1",
  kind: "Node",
  plural: "nodes",
  namespaced: false,
  schema: Node
}
