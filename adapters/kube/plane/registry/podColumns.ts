/** How `kubectl get pods` sums up a pod. */
import { booleanAt, type JsonObject, numberAt, objectAt, objectsAt, stringAt } from "../object/json.ts"
import { isDeleting, type KubeObject } from "../object/KubeObject.ts"
import { parseTimestamp } from "../object/Moment.ts"
import { ageColumn, ago, column, nameColumn, orNone, wide } from "./columns.ts"
import type { Column } from "./ResourceType.ts"

const isSidecar = (pod: KubeObject, name: string | undefined) =>
  objectsAt(pod, "spec", "initContainers").some((container) =>
    stringAt(container, "name") === name && stringAt(container, "restartPolicy") === "Always"
  )

const hasCondition = (pod: KubeObject, type: string) =>
  objectsAt(pod, "status", "conditions").some((condition) =>
    stringAt(condition, "type") === type && stringAt(condition, "status") === "True"
  )

const terminatedText = (terminated: JsonObject): string => {
  const reason = stringAt(terminated, "reason") ?? ""
  if (reason !== "") return reason
  const signal = numberAt(terminated, "signal") ?? 0
  return signal !== 0 ? `Signal:${signal}` : `ExitCode:${numberAt(terminated, "exitCode") ?? 0}`
}

/** The init container that holds the pod up, if one does. */
const initReason = (pod: KubeObject): string | undefined => {
  const statuses = objectsAt(pod, "status", "initContainerStatuses")
  const total = objectsAt(pod, "spec", "initContainers").length
  for (const [index, status] of statuses.entries()) {
    const terminated = objectAt(status, "state", "terminated")
    const waiting = stringAt(status, "state", "waiting", "reason") ?? ""
    if (objectAt(status, "state")["terminated"] !== undefined && (numberAt(terminated, "exitCode") ?? 0) === 0) continue
    if (isSidecar(pod, stringAt(status, "name")) && booleanAt(status, "started") === true) continue
    if (objectAt(status, "state")["terminated"] !== undefined) return `Init:${terminatedText(terminated)}`
    if (waiting !== "" && waiting !== "PodInitializing") return `Init:${waiting}`
    return `Init:${index}/${total}`
  }
  return undefined
}

const containerReason = (pod: KubeObject, phase: string): string => {
  let reason = phase
  let anyRunning = false
  for (const status of objectsAt(pod, "status", "containerStatuses").toReversed()) {
    const waiting = stringAt(status, "state", "waiting", "reason") ?? ""
    if (waiting !== "") reason = waiting
    else if (objectAt(status, "state")["terminated"] !== undefined) {
      reason = terminatedText(objectAt(status, "state", "terminated"))
    } else if (booleanAt(status, "ready") === true && objectAt(status, "state")["running"] !== undefined) {
      anyRunning = true
    }
  }
  if (reason !== "Completed" || !anyRunning) return reason
  return hasCondition(pod, "Ready") ? "Running" : "NotReady"
}

export const podStatusText = (pod: KubeObject): string => {
  const phase = stringAt(pod, "status", "reason") ?? stringAt(pod, "status", "phase") ?? ""
  const gated = objectsAt(pod, "status", "conditions").some((condition) =>
    stringAt(condition, "type") === "PodScheduled" && stringAt(condition, "reason") === "SchedulingGated"
  )
  const init = hasCondition(pod, "Initialized") ? undefined : initReason(pod)
  const reason = init ?? containerReason(pod, gated ? "SchedulingGated" : phase)
  if (!isDeleting(pod)) return reason
  if (stringAt(pod, "status", "reason") === "NodeLost") return "Unknown"
  return phase === "Succeeded" || phase === "Failed" ? reason : "Terminating"
}

const countedStatuses = (pod: KubeObject) => [
  ...objectsAt(pod, "status", "initContainerStatuses").filter((status) => isSidecar(pod, stringAt(status, "name"))),
  ...objectsAt(pod, "status", "containerStatuses")
]

const readyText = (pod: KubeObject): string => {
  const sidecars = objectsAt(pod, "spec", "initContainers").filter((c) => stringAt(c, "restartPolicy") === "Always")
  const total = objectsAt(pod, "spec", "containers").length + sidecars.length
  const ready = countedStatuses(pod).filter((status) => booleanAt(status, "ready") === true).length
  return `${ready}/${total}`
}

const restartsText = (pod: KubeObject, now: number): string => {
  const statuses = countedStatuses(pod)
  const restarts = statuses.reduce((sum, status) => sum + (numberAt(status, "restartCount") ?? 0), 0)
  const last = statuses
    .map((status) => stringAt(status, "lastState", "terminated", "finishedAt"))
    .filter((text) => parseTimestamp(text) !== undefined)
    .toSorted()
    .at(-1)
  return restarts === 0 || last === undefined ? String(restarts) : `${restarts} (${ago(last, now)} ago)`
}

const gatesText = (pod: KubeObject): string => {
  const gates = objectsAt(pod, "spec", "readinessGates")
  if (gates.length === 0) return "<none>"
  return `${gates.filter((gate) => hasCondition(pod, stringAt(gate, "conditionType") ?? "")).length}/${gates.length}`
}

export const podColumns: ReadonlyArray<Column> = [
  nameColumn,
  column("Ready", readyText),
  column("Status", podStatusText),
  column("Restarts", restartsText),
  ageColumn,
  column("IP", (pod) => orNone(stringAt(pod, "status", "podIP")), wide),
  column("Node", (pod) => orNone(stringAt(pod, "spec", "nodeName")), wide),
  column("Nominated Node", (pod) => orNone(stringAt(pod, "status", "nominatedNodeName")), wide),
  column("Readiness Gates", gatesText, wide)
]
