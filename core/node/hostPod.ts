/**
 * The pod by which a device itself is reached: `kubectl exec`, `attach`, `logs`, `cp` and `port-forward` to it are to the host. A
 * mirror pod, as a kubelet has for its static pods: the Node's own, run by nobody, passed over by `kubectl drain`. Pure.
 */
import type { OwnerReference } from "../kube/ObjectMeta.ts"
import type { Pod, PodCondition, PodStatus } from "../kube/Pod.ts"
import { labels } from "./nodeNames.ts"

/** Kubernetes' own mark of pods that exist whatever the API says: their object is only a picture of them. */
const mirrorAnnotation = "kubernetes.io/config.mirror"

/** Grows when the pod is made otherwise than before: one of an older making is made anew. */
const making = "1"

export const hostContainer = "host"
const image = "virtualimage.arhat.dev/host"
const roleHost = "Host"

interface DeviceName {
  readonly namespace: string
  /** Of the EdgeDevice, of its Node and of its host pod. */
  readonly name: string
}

/** Never run on a device, whoever made it. */
export const isMirrorPod = ({ metadata }: Pod): boolean => metadata.annotations?.[mirrorAnnotation] !== undefined

/** Whether this is the host pod of a device; one of that name in another namespace, or without the mark, is not. */
export const isHostPod = (pod: Pod, { name, namespace }: DeviceName): boolean =>
  isMirrorPod(pod) && pod.metadata.name === name && pod.metadata.namespace === namespace && pod.spec.nodeName === name

export const hostPod = ({ name, namespace }: DeviceName, nodeUid: string): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    namespace,
    name,
    labels: { [labels.role]: roleHost, [labels.name]: name },
    annotations: { [mirrorAnnotation]: making, "kubernetes.io/config.source": "aranya" },
    ownerReferences: [{ apiVersion: "v1", kind: "Node", name, uid: nodeUid, controller: true }]
  },
  spec: {
    nodeName: name,
    // Ended by nobody but us: no taint of the Node is a reason.
    tolerations: [{ operator: "Exists" }],
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: 0,
    containers: [{ name: hostContainer, image, imagePullPolicy: "Never", stdin: true, tty: true }]
  }
})

const sameOwner = (one: OwnerReference | undefined, other: OwnerReference | undefined) => one?.uid === other?.uid

/** Whether it can stay as it is, but for its status; nothing of the rest could be changed. */
export const isAsWanted = ({ metadata, status }: Pod, wanted: Pod): boolean =>
  metadata.deletionTimestamp === undefined &&
  status?.phase !== "Succeeded" && status?.phase !== "Failed" &&
  metadata.annotations?.[mirrorAnnotation] === wanted.metadata.annotations?.[mirrorAnnotation] &&
  sameOwner(metadata.ownerReferences?.[0], wanted.metadata.ownerReferences?.[0])

const ready = (pod: Pod) => pod.status?.conditions?.find(({ type }) => type === "Ready")?.status

/** What is to be written; undefined where it says so already, and of a device that is away, of which others speak. */
export const hostPodStatus = (
  pod: Pod,
  { connected, now }: { readonly connected: boolean; readonly now: string }
): PodStatus | undefined => {
  if (pod.status?.phase === "Running" && (!connected || ready(pod) === "True")) return undefined
  const condition = (type: string, unless?: Omit<PodCondition, "type" | "status">): PodCondition => {
    const status = unless === undefined ? "True" : "False"
    const before = pod.status?.conditions?.find((each) => each.type === type)
    return {
      type,
      status,
      ...unless,
      lastTransitionTime: before?.status === status ? before.lastTransitionTime ?? now : now
    }
  }
  const away = { reason: "DeviceDisconnected", message: "the device is not connected" }
  const startedAt = pod.metadata.creationTimestamp ?? now
  return {
    phase: "Running",
    startTime: pod.status?.startTime ?? startedAt,
    conditions: [
      condition("PodScheduled"),
      condition("Initialized"),
      condition("ContainersReady"),
      condition("Ready", connected ? undefined : away)
    ],
    containerStatuses: [{
      name: hostContainer,
      image,
      imageID: image,
      containerID: `arhat://${pod.metadata.uid ?? ""}`,
      ready: true,
      started: true,
      restartCount: 0,
      state: { running: { startedAt } }
    }]
  }
}
