/** How `kubectl get nodes` sums up a node. */
import { booleanAt, objectsAt, stringAt } from "../object/json.ts"
import { type KubeObject, labelsOf } from "../object/KubeObject.ts"
import { ageColumn, column, nameColumn, wide } from "./columns.ts"
import type { Column } from "./ResourceType.ts"

const statusText = (node: KubeObject): string => {
  const ready = objectsAt(node, "status", "conditions").find((condition) => stringAt(condition, "type") === "Ready")
  const text = ready === undefined ? "Unknown" : stringAt(ready, "status") === "True" ? "Ready" : "NotReady"
  return booleanAt(node, "spec", "unschedulable") === true ? `${text},SchedulingDisabled` : text
}

const rolesText = (node: KubeObject): string => {
  const roles = Object.entries(labelsOf(node)).flatMap(([key, value]) =>
    key.startsWith("node-role.kubernetes.io/")
      ? [key.slice("node-role.kubernetes.io/".length)]
      : key === "kubernetes.io/role"
      ? [String(value)]
      : []
  ).filter((role) => role !== "")
  return roles.length === 0 ? "<none>" : roles.toSorted().join(",")
}

const address = (type: string) => (node: KubeObject): string =>
  objectsAt(node, "status", "addresses").flatMap((entry) =>
    stringAt(entry, "type") === type ? [stringAt(entry, "address") ?? ""] : []
  )[0] ?? "<none>"

const info = (field: string, missing = "<unknown>") => (node: KubeObject): string =>
  stringAt(node, "status", "nodeInfo", field) || missing

export const nodeColumns: ReadonlyArray<Column> = [
  nameColumn,
  column("Status", statusText),
  column("Roles", rolesText),
  ageColumn,
  column("Version", info("kubeletVersion", "")),
  column("Internal-IP", address("InternalIP"), wide),
  column("External-IP", address("ExternalIP"), wide),
  column("OS-Image", info("osImage"), wide),
  column("Kernel-Version", info("kernelVersion"), wide),
  column("Container-Runtime", info("containerRuntimeVersion"), wide)
]
