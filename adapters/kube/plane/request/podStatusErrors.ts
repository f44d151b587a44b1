/** What a status may not say of a pod, whoever writes it: another class, or that a container that ended for good goes on. */
import type { FieldError } from "../object/ApiFailure.ts"
import { at, type JsonObject, listAt, numberAt, objectsAt, stringAt } from "../object/json.ts"
import type { KubeObject } from "../object/KubeObject.ts"

const kinds = [
  ["containerStatuses", "containers"],
  ["initContainerStatuses", "initContainers"],
  ["ephemeralContainerStatuses", "ephemeralContainers"]
] as const

/** Also of an init container, which a pod that is not of Always never runs again once it has succeeded. */
const mayRunAgain = (pod: KubeObject, kind: string, name: string, exitCode: number): boolean => {
  if (kind === "ephemeralContainers") return false
  const container: JsonObject = objectsAt(pod, "spec", kind).find((each) => stringAt(each, "name") === name) ?? {}
  // Rules of its own may let it run again; they are not weighed here.
  if (listAt(container, "restartPolicyRules").length > 0) return true
  const policy = stringAt(container, "restartPolicy") ?? stringAt(pod, "spec", "restartPolicy") ?? "Always"
  return policy === "Always" || (policy === "OnFailure" && exitCode !== 0)
}

const transitionErrors = (wanted: KubeObject, old: KubeObject): ReadonlyArray<FieldError> =>
  kinds.flatMap(([statuses, kind]) =>
    objectsAt(old, "status", statuses).flatMap((before, index): ReadonlyArray<FieldError> => {
      const name = stringAt(before, "name") ?? ""
      const ended = at(before, "state", "terminated")
      const after = objectsAt(wanted, "status", statuses).find((each) => stringAt(each, "name") === name)
      if (ended === undefined || after === undefined || at(after, "state", "terminated") !== undefined) return []
      return mayRunAgain(old, kind, name, numberAt(ended, "exitCode") ?? 0) ? [] : [{
        type: "Forbidden",
        field: `status.${statuses}[${index}].state`,
        detail: "may not be transitioned to non-terminated state"
      }]
    })
  )

export const podStatusErrors = (wanted: KubeObject, old: KubeObject): ReadonlyArray<FieldError> => {
  const given = stringAt(wanted, "status", "qosClass") ?? ""
  const kept = stringAt(old, "status", "qosClass")
  return [
    // One that says nothing of it is no change.
    ...(given === "" || kept === undefined || given === kept
      ? []
      : [{ type: "Invalid", field: "status.qosClass", detail: "field is immutable", value: given } as const]),
    ...transitionErrors(wanted, old)
  ]
}
