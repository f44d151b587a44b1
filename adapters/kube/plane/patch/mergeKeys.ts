/** Which lists of the built-in API types are merged by key, by value, or replaced whole (patchMergeKey in the Go types). */
import { isObject, type Json, numberAt } from "../object/json.ts"

export type ListStrategy = { readonly by: string } | "values" | "replace"

const keyed: Readonly<Record<string, string>> = {
  addresses: "type",
  conditions: "type",
  containers: "name",
  env: "name",
  ephemeralContainers: "name",
  hostAliases: "ip",
  hostIPs: "ip",
  imagePullSecrets: "name",
  initContainers: "name",
  ownerReferences: "uid",
  podIPs: "ip",
  resourceClaimStatuses: "name",
  resourceClaims: "name",
  schedulingGates: "name",
  secrets: "name",
  topologySpreadConstraints: "topologyKey",
  volumeDevices: "devicePath",
  volumeMounts: "mountPath",
  volumes: "name",
  webhooks: "name"
}

const byValue = new Set(["finalizers", "podCIDRs"])

/** Objects that keep only the keys `$retainKeys` names, even when the patch does not say so, are not modelled. */
export const listStrategy = (field: string, list: ReadonlyArray<Json>, patch: ReadonlyArray<Json>): ListStrategy => {
  if (byValue.has(field)) return "values"
  if (field === "ports") {
    // A container's ports are told apart by containerPort, a service's by port.
    const items = [...list, ...patch].filter(isObject)
    return items.some((item) => numberAt(item, "containerPort") !== undefined)
      ? { by: "containerPort" }
      : { by: "port" }
  }
  const by = Object.hasOwn(keyed, field) ? keyed[field] : undefined
  if (by === undefined) return "replace"
  return [...list, ...patch].every(isObject) ? { by } : "replace"
}
