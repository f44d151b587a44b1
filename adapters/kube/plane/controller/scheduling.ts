/** Which nodes a pod fits: selector, required affinity, taints, cordon, ports, pods, cpu and memory. */
import {
  booleanAt,
  type Json,
  type JsonObject,
  listAt,
  objectAt,
  objectsAt,
  stringAt,
  stringsAt
} from "../object/json.ts"
import { type KubeObject, labelsOf, nameOf } from "../object/KubeObject.ts"
import { parseQuantity } from "../object/quantity.ts"
import { labelMap } from "../store/labelSelector.ts"
import type { Store } from "../store/Store.ts"
import { portsTaken } from "./hostPorts.ts"

/** Taints and tolerations as core/v1 defines their match. */
export const tolerates = (toleration: JsonObject, taint: JsonObject): boolean => {
  const effect = stringAt(toleration, "effect") ?? ""
  const key = stringAt(toleration, "key") ?? ""
  if (effect !== "" && effect !== stringAt(taint, "effect")) return false
  if (key !== "" && key !== stringAt(taint, "key")) return false
  const operator = stringAt(toleration, "operator") || "Equal"
  if (operator === "Exists") return true
  return key !== "" && (stringAt(toleration, "value") ?? "") === (stringAt(taint, "value") ?? "")
}

export const untolerated = (
  pod: KubeObject,
  node: KubeObject,
  effects: ReadonlyArray<string>
): JsonObject | undefined => {
  const tolerations = objectsAt(pod, "spec", "tolerations")
  return objectsAt(node, "spec", "taints").find((taint) =>
    effects.includes(stringAt(taint, "effect") ?? "") && !tolerations.some((toleration) => tolerates(toleration, taint))
  )
}

const expressionMatches = (expression: JsonObject, values: JsonObject): boolean => {
  const value = values[stringAt(expression, "key") ?? ""]
  const wanted = stringsAt(expression, "values")
  const text = value === undefined ? undefined : String(value)
  switch (stringAt(expression, "operator")) {
    case "In":
      return text !== undefined && wanted.includes(text)
    case "NotIn":
      return text === undefined || !wanted.includes(text)
    case "Exists":
      return text !== undefined
    case "DoesNotExist":
      return text === undefined
    case "Gt":
      return text !== undefined && Number(text) > Number(wanted[0])
    case "Lt":
      return text !== undefined && Number(text) < Number(wanted[0])
    default:
      return false
  }
}

/** Terms are alternatives; within one, every expression must hold; an empty term matches nothing. */
export const affinityMatches = (pod: KubeObject, node: KubeObject): boolean => {
  const required = objectAt(pod, "spec", "affinity", "nodeAffinity")["requiredDuringSchedulingIgnoredDuringExecution"]
  if (required === undefined) return true
  return objectsAt(required, "nodeSelectorTerms").some((term) => {
    const expressions = objectsAt(term, "matchExpressions")
    const fields = objectsAt(term, "matchFields")
    return expressions.length + fields.length > 0 &&
      expressions.every((expression) => expressionMatches(expression, labelsOf(node))) &&
      fields.every((expression) => expressionMatches(expression, { "metadata.name": nameOf(node) }))
  })
}

export const selectorMatches = (pod: KubeObject, node: KubeObject): boolean =>
  labelMap(objectAt(pod, "spec", "nodeSelector"))(labelsOf(node)) && affinityMatches(pod, node)

const asked = (pod: KubeObject, resource: string): number => {
  const of = (container: JsonObject) => parseQuantity(objectAt(container, "resources", "requests")[resource]) ?? 0
  const running = objectsAt(pod, "spec", "containers").reduce((sum, container) => sum + of(container), 0)
  const starting = objectsAt(pod, "spec", "initContainers").reduce(
    (most, container) => Math.max(most, of(container)),
    0
  )
  return Math.max(running, starting) + (parseQuantity(objectAt(pod, "spec", "overhead")[resource]) ?? 0)
}

export const hasEnded = (pod: KubeObject): boolean =>
  ["Succeeded", "Failed"].includes(stringAt(pod, "status", "phase") ?? "")

/** What a node lacks for the pod, if anything; costs as much as the node has pods. */
export const lacking = (store: Store, pod: KubeObject, node: KubeObject): string | undefined => {
  const allocatable = objectAt(node, "status", "allocatable")
  const others = store.where("pods", "spec.nodeName", nameOf(node)).map(({ object }) => object).filter((other) =>
    !hasEnded(other)
  )
  if (portsTaken(pod, others)) return "node(s) didn't have free ports for the requested pod ports"
  const places = parseQuantity(allocatable["pods"])
  if (places !== undefined && others.length >= places) return "Too many pods"
  const resources = new Set(
    objectsAt(pod, "spec", "containers").flatMap((c) => Object.keys(objectAt(c, "resources", "requests")))
  )
  for (const resource of resources) {
    const available: Json | undefined = allocatable[resource]
    const used = others.reduce((sum, other) => sum + asked(other, resource), 0)
    if (used + asked(pod, resource) > (parseQuantity(available) ?? 0)) return `Insufficient ${resource}`
  }
  return undefined
}

/** Why the pod may not go there; undefined if it may. */
export const obstacle = (store: Store, pod: KubeObject, node: KubeObject): string | undefined => {
  if (booleanAt(node, "spec", "unschedulable") === true) {
    const cordon = { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" }
    if (!objectsAt(pod, "spec", "tolerations").some((toleration) => tolerates(toleration, cordon))) {
      return "node(s) were unschedulable"
    }
  }
  if (!selectorMatches(pod, node)) return "node(s) didn't match Pod's node affinity/selector"
  const taint = untolerated(pod, node, ["NoSchedule", "NoExecute"])
  if (taint !== undefined) {
    const value = stringAt(taint, "value")
    return `node(s) had untolerated taint {${stringAt(taint, "key") ?? ""}${
      value === undefined || value === "" ? "" : `: ${value}`
    }}`
  }
  return lacking(store, pod, node)
}

export const isGated = (pod: KubeObject): boolean => listAt(pod, "spec", "schedulingGates").length > 0
