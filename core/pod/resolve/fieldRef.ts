/** What `fieldRef` shows: of the pod itself here, of the device as a placeholder. */
import type { Pod } from "../../kube/Pod.ts"
import type { DeviceText } from "../PodAssignment.ts"
import { fieldText, literal } from "./deviceText.ts"

/** Labels or annotations whole: one `key="value"` line each, sorted by key, quoted as Go does. */
const lines = (map: Readonly<Record<string, string>> | undefined): string =>
  Object.entries(map ?? {})
    .sort(([a], [b]) => a < b ? -1 : 1)
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join("\n")

/** Undefined for a path that Kubernetes does not know. */
export const fieldRef = (pod: Pod, path: string, nodeName: string): DeviceText | undefined => {
  const { annotations, labels, name = "", namespace = "", uid = "" } = pod.metadata
  const subscript = /^metadata\.(labels|annotations)\['([^']*)'\]$/u.exec(path)
  if (subscript !== null) {
    const map = subscript[1] === "labels" ? labels : annotations
    return literal(map?.[subscript[2] ?? ""] ?? "")
  }
  switch (path) {
    case "metadata.name":
      return literal(name)
    case "metadata.namespace":
      return literal(namespace)
    case "metadata.uid":
      return literal(uid)
    case "metadata.labels":
      return literal(lines(labels))
    case "metadata.annotations":
      return literal(lines(annotations))
    case "spec.nodeName":
      return literal(nodeName)
    case "spec.serviceAccountName":
      return literal(pod.spec.serviceAccountName ?? "default")
    case "status.hostIP":
      return fieldText("hostIP")
    case "status.hostIPs":
      return fieldText("hostIPs")
    case "status.podIP":
      return fieldText("podIP")
    case "status.podIPs":
      return fieldText("podIPs")
    default:
      return undefined
  }
}
