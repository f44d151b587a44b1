/** What aranya wants of a Node's metadata and spec, and how that meets what others have made of it. */
import type { HostInfo } from "../agent/HostFacts.ts"
import type { EdgeDevice } from "../device/EdgeDevice.ts"
import { managedAnnotation, mapPatch, readManaged } from "../kube/managedKeys.ts"
import type { Node, Taint } from "../kube/Node.ts"
import { annotations, disconnectedTaint, labels, namespaceTaint, roleEdgeDevice } from "./nodeNames.ts"

type Map = Readonly<Record<string, string>>

export interface DesiredNode {
  readonly labels: Map
  readonly annotations: Map
  readonly taints: ReadonlyArray<Taint>
  readonly providerID: string
}

export const desiredNode = (
  device: EdgeDevice,
  host: HostInfo | undefined,
  options: { readonly installation: string; readonly connected: boolean }
): DesiredNode => ({
  labels: {
    ...device.spec.node.labels,
    ...(host === undefined ? {} : {
      "kubernetes.io/arch": host.architecture,
      "kubernetes.io/os": host.operatingSystem,
      "beta.kubernetes.io/arch": host.architecture,
      "beta.kubernetes.io/os": host.operatingSystem
    }),
    "kubernetes.io/hostname": device.name,
    // Cluster autoscaler and many DaemonSets' affinities know this label and keep away.
    type: "virtual-kubelet",
    "node.kubernetes.io/exclude-from-external-load-balancers": "true",
    [labels.role]: roleEdgeDevice,
    [labels.name]: device.name,
    [labels.namespace]: device.namespace
  },
  annotations: {
    ...device.spec.node.annotations,
    [annotations.owner]: device.uid,
    [annotations.installation]: options.installation,
    [annotations.resourceMetricsPath]: `/metrics/nodes/${device.name}/metrics/resource`
  },
  taints: [
    { key: namespaceTaint, value: device.namespace, effect: "NoSchedule" },
    ...device.spec.node.taints.map(({ effect, key, value }): Taint => ({
      key,
      effect,
      ...(value === undefined ? {} : { value })
    })),
    ...(options.connected ? [] : [{ key: disconnectedTaint, effect: "NoSchedule" } as const])
  ],
  // Cloud controller managers delete Nodes whose provider id they look for and do not find.
  providerID: `aranya://${device.namespace}/${device.name}`
})

/** Whether this Node is the one of this EdgeDevice; any other of that name is never touched. */
export const owns = (node: Node, device: Pick<EdgeDevice, "uid">, installation: string): boolean =>
  node.metadata.annotations?.[annotations.owner] === device.uid
  && node.metadata.annotations[annotations.installation] === installation

/**
 * Whether this Node is of an EdgeDevice that had this very name before, and is gone: an operator that had not heard of its end may
 * have made the Node once more.
 */
export const isRemnant = (
  { metadata }: Node,
  device: Pick<EdgeDevice, "uid" | "namespace" | "name">,
  installation: string
): boolean =>
  metadata.annotations?.[annotations.installation] === installation
  && metadata.labels?.[labels.namespace] === device.namespace
  && metadata.labels[labels.name] === device.name
  && (metadata.annotations[annotations.owner] ?? device.uid) !== device.uid

interface Managed {
  readonly labels: ReadonlyArray<string>
  readonly annotations: ReadonlyArray<string>
  readonly taints: ReadonlyArray<string>
}

/** Nobody else sets these: a node controller that took its own away from an older list may have put them back. */
const isOurs = ({ key }: Taint) => key === disconnectedTaint || key === namespaceTaint

const taintKey = ({ effect, key }: Taint) => `${key}:${effect}`

const managedBy = (desired: DesiredNode): Managed => ({
  labels: Object.keys(desired.labels).sort(),
  annotations: Object.keys(desired.annotations).sort(),
  taints: desired.taints.map(taintKey).sort()
})

export const newNode = (device: EdgeDevice, desired: DesiredNode, status: Node["status"]): Node => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: {
    name: device.name,
    labels: desired.labels,
    annotations: { ...desired.annotations, [managedAnnotation]: JSON.stringify(managedBy(desired)) }
  },
  spec: { providerID: desired.providerID, taints: desired.taints },
  ...(status === undefined ? {} : { status })
})

/**
 * The merge patch that brings a Node to what is desired and keeps everybody else's edits; undefined when there is nothing to
 * do. Taints are one list to a merge patch, so it carries the resourceVersion it was made from.
 */
export const nodePatch = (node: Node, desired: DesiredNode): unknown => {
  const now = managedBy(desired)
  const before = readManaged(node.metadata, "taints")
  const changes = (what: "labels" | "annotations", want: Map) =>
    mapPatch(node.metadata[what], want, readManaged(node.metadata, what))
  const labelPatch = changes("labels", desired.labels)
  const annotationPatch = changes("annotations", {
    ...desired.annotations,
    [managedAnnotation]: JSON.stringify(now)
  })

  const have = node.spec?.taints ?? []
  const wanted = new Set(now.taints)
  const others = have.filter((taint) =>
    !wanted.has(taintKey(taint)) && !before.includes(taintKey(taint)) && !isOurs(taint)
  )
  const same =
    desired.taints.every((taint) =>
      have.some((other) => taintKey(other) === taintKey(taint) && (other.value ?? "") === (taint.value ?? ""))
    ) && have.length === others.length + desired.taints.length

  const spec = {
    ...(same ? {} : { taints: [...others, ...desired.taints] }),
    ...(node.spec?.providerID === undefined || node.spec.providerID === "" ? { providerID: desired.providerID } : {})
  }
  if (Object.keys(labelPatch).length + Object.keys(annotationPatch).length + Object.keys(spec).length === 0) {
    return undefined
  }
  return {
    metadata: {
      resourceVersion: node.metadata.resourceVersion,
      ...(Object.keys(labelPatch).length === 0 ? {} : { labels: labelPatch }),
      ...(Object.keys(annotationPatch).length === 0 ? {} : { annotations: annotationPatch })
    },
    ...(Object.keys(spec).length === 0 ? {} : { spec })
  }
}
