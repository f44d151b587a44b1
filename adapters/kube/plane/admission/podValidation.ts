/** What makes a pod spec unacceptable, and which changes a stored pod may still undergo. */
import type { FieldError } from "../object/ApiFailure.ts"
import {
  at,
  equal,
  type JsonObject,
  listAt,
  numberAt,
  objectAt,
  objectsAt,
  stringAt,
  withoutAt
} from "../object/json.ts"
import type { KubeObject } from "../object/KubeObject.ts"
import { parseQuantity } from "../object/quantity.ts"
import { dnsLabel } from "./names.ts"

const choice = (value: string | undefined, allowed: ReadonlyArray<string>, field: string): ReadonlyArray<FieldError> =>
  value === undefined || allowed.includes(value)
    ? []
    : [{
      type: "NotSupported",
      field,
      value,
      detail: `supported values: ${allowed.map((a) => JSON.stringify(a)).join(", ")}`
    }]

const duplicates = (names: ReadonlyArray<string>, field: (index: number) => string): ReadonlyArray<FieldError> =>
  names.flatMap((name, index): ReadonlyArray<FieldError> =>
    name !== "" && names.indexOf(name) < index
      ? [{ type: "Duplicate", field: field(index), value: name, detail: "" }]
      : []
  )

const resourceErrors = (container: JsonObject, field: string): ReadonlyArray<FieldError> => {
  const errors: Array<FieldError> = []
  for (const list of ["requests", "limits"]) {
    for (const [name, value] of Object.entries(objectAt(container, "resources", list))) {
      const amount = parseQuantity(value)
      if (amount === undefined || amount < 0) {
        const detail = "must be a quantity greater than or equal to 0"
        errors.push({ type: "Invalid", field: `${field}.resources.${list}[${name}]`, value: String(value), detail })
      }
    }
  }
  for (const [name, value] of Object.entries(objectAt(container, "resources", "requests"))) {
    const limit = at(container, "resources", "limits", name)
    if (limit !== undefined && (parseQuantity(value) ?? 0) > (parseQuantity(limit) ?? 0)) {
      const detail = `must be less than or equal to ${name} limit of ${String(limit)}`
      errors.push({ type: "Invalid", field: `${field}.resources.requests`, value: String(value), detail })
    }
  }
  return errors
}

/** Parts of letters, digits, dashes and underscores, joined by dots or by slashes. */
const sysctlName = /^[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*$/
const longestSysctl = 253

const sysctlErrors = (spec: JsonObject, field: string): ReadonlyArray<FieldError> => {
  const names = objectsAt(spec, "securityContext", "sysctls").map((sysctl) => stringAt(sysctl, "name") ?? "")
  const at = (index: number) => `${field}.securityContext.sysctls[${index}].name`
  const wrong = names.flatMap((name, index): ReadonlyArray<FieldError> => {
    if (name === "") return [{ type: "Required", field: at(index), detail: "" }]
    if (sysctlName.test(name) && name.length <= longestSysctl) return []
    const detail = `must have at most ${longestSysctl} characters and match regex ${sysctlName.source}`
    return [{ type: "Invalid", field: at(index), value: name, detail }]
  })
  // The same setting under its two spellings is set twice too.
  return [...wrong, ...duplicates(names.map((name) => name.replaceAll("/", ".")), at)]
}

const portErrors = (container: JsonObject, field: string): ReadonlyArray<FieldError> =>
  objectsAt(container, "ports").flatMap((port, index): ReadonlyArray<FieldError> => {
    const number = numberAt(port, "containerPort")
    const path = `${field}.ports[${index}]`
    if (number === undefined) return [{ type: "Required", field: `${path}.containerPort`, detail: "" }]
    if (!Number.isInteger(number) || number < 1 || number > 65535) {
      return [{
        type: "Invalid",
        field: `${path}.containerPort`,
        value: String(number),
        detail: "must be between 1 and 65535, inclusive"
      }]
    }
    return choice(stringAt(port, "protocol"), ["SCTP", "TCP", "UDP"], `${path}.protocol`)
  })

const containerErrors = (
  container: JsonObject,
  field: string,
  volumes: ReadonlySet<string>,
  imageRequired: boolean
): ReadonlyArray<FieldError> => {
  const name = stringAt(container, "name") ?? ""
  const errors: Array<FieldError> = []
  if (name === "") errors.push({ type: "Required", field: `${field}.name`, detail: "" })
  else if (!dnsLabel.test(name) || name.length > 63) {
    errors.push({ type: "Invalid", field: `${field}.name`, value: name, detail: "must be a lowercase RFC 1123 label" })
  }
  if (imageRequired && !stringAt(container, "image")) {
    errors.push({ type: "Required", field: `${field}.image`, detail: "" })
  }
  errors.push(
    ...choice(stringAt(container, "imagePullPolicy"), ["Always", "IfNotPresent", "Never"], `${field}.imagePullPolicy`)
  )
  errors.push(
    ...choice(
      stringAt(container, "terminationMessagePolicy"),
      ["File", "FallbackToLogsOnError"],
      `${field}.terminationMessagePolicy`
    )
  )
  objectsAt(container, "volumeMounts").forEach((mount, index) => {
    const volume = stringAt(mount, "name") ?? ""
    if (!volumes.has(volume)) {
      errors.push({ type: "NotFound", field: `${field}.volumeMounts[${index}].name`, value: volume, detail: "" })
    }
    if (!stringAt(mount, "mountPath")) {
      errors.push({ type: "Required", field: `${field}.volumeMounts[${index}].mountPath`, detail: "" })
    }
  })
  objectsAt(container, "env").forEach((variable, index) => {
    if (!stringAt(variable, "name")) errors.push({ type: "Required", field: `${field}.env[${index}].name`, detail: "" })
  })
  return [...errors, ...portErrors(container, field), ...resourceErrors(container, field)]
}

/** @param restartPolicies what the workload allows; Deployments, for one, only Always */
export const podSpecErrors = (
  spec: JsonObject,
  field = "spec",
  restartPolicies: ReadonlyArray<string> = ["Always", "OnFailure", "Never"]
): ReadonlyArray<FieldError> => {
  const volumes = new Set(objectsAt(spec, "volumes").map((volume) => stringAt(volume, "name") ?? ""))
  const containers = objectsAt(spec, "containers")
  const inits = objectsAt(spec, "initContainers")
  const errors: Array<FieldError> = []
  if (containers.length === 0) errors.push({ type: "Required", field: `${field}.containers`, detail: "" })
  containers.forEach((container, index) =>
    errors.push(...containerErrors(container, `${field}.containers[${index}]`, volumes, true))
  )
  inits.forEach((container, index) =>
    errors.push(...containerErrors(container, `${field}.initContainers[${index}]`, volumes, true))
  )
  const names = [...containers, ...inits].map((container) => stringAt(container, "name") ?? "")
  errors.push(
    ...duplicates(names, (index) =>
      index < containers.length
        ? `${field}.containers[${index}].name`
        : `${field}.initContainers[${index - containers.length}].name`)
  )
  objectsAt(spec, "volumes").forEach((volume, index) => {
    const name = stringAt(volume, "name") ?? ""
    if (name === "") errors.push({ type: "Required", field: `${field}.volumes[${index}].name`, detail: "" })
    else if (!dnsLabel.test(name)) {
      errors.push({
        type: "Invalid",
        field: `${field}.volumes[${index}].name`,
        value: name,
        detail: "must be a lowercase RFC 1123 label"
      })
    }
    const sources = Object.keys(volume).filter((key) => key !== "name")
    if (sources.length > 1) {
      errors.push({
        type: "Forbidden",
        field: `${field}.volumes[${index}].${sources[1]}`,
        detail: "may not specify more than 1 volume type"
      })
    }
  })
  errors.push(...duplicates(
    objectsAt(spec, "volumes").map((volume) => stringAt(volume, "name") ?? ""),
    (index) => `${field}.volumes[${index}].name`
  ))
  errors.push(...sysctlErrors(spec, field))
  errors.push(...choice(stringAt(spec, "restartPolicy"), restartPolicies, `${field}.restartPolicy`))
  errors.push(
    ...choice(
      stringAt(spec, "dnsPolicy"),
      ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
      `${field}.dnsPolicy`
    )
  )
  const grace = numberAt(spec, "terminationGracePeriodSeconds")
  if (grace !== undefined && grace < 0) {
    errors.push({
      type: "Invalid",
      field: `${field}.terminationGracePeriodSeconds`,
      value: String(grace),
      detail: "must be greater than or equal to 0"
    })
  }
  return errors
}

/** Leaves only what may never change: images, deadline, grace, gates and added tolerations are taken away. */
const frozen = (spec: JsonObject): JsonObject => {
  let result = spec
  for (const list of ["containers", "initContainers"]) {
    if (result[list] !== undefined) {
      result = { ...result, [list]: objectsAt(spec, list).map((container) => withoutAt(container, ["image"])) }
    }
  }
  for (
    const field of [
      "activeDeadlineSeconds",
      "tolerations",
      "terminationGracePeriodSeconds",
      "schedulingGates",
      "ephemeralContainers"
    ]
  ) {
    result = withoutAt(result, [field])
  }
  return result
}

const tolerationKey = (toleration: JsonObject) =>
  JSON.stringify(["key", "operator", "value", "effect"].map((field) => toleration[field] ?? ""))

const tolerationErrors = (spec: JsonObject, old: JsonObject): ReadonlyArray<FieldError> => {
  const kept = new Set(objectsAt(spec, "tolerations").map(tolerationKey))
  return objectsAt(old, "tolerations").every((toleration) => kept.has(tolerationKey(toleration)))
    ? []
    : [{
      type: "Forbidden",
      field: "spec.tolerations",
      detail: "existing toleration can not be modified except its tolerationSeconds"
    }]
}

const updateErrors = (pod: KubeObject, old: KubeObject): ReadonlyArray<FieldError> => {
  const spec = objectAt(pod, "spec")
  const before = objectAt(old, "spec")
  const gated = listAt(before, "schedulingGates").length > 0
  const same = equal(frozen(spec), frozen(before)) ||
    (gated && equal(
      withoutAt(withoutAt(frozen(spec), ["nodeSelector"]), ["affinity"]),
      withoutAt(withoutAt(frozen(before), ["nodeSelector"]), ["affinity"])
    ))
  const errors: Array<FieldError> = []
  if (!same || !equal(spec["ephemeralContainers"], before["ephemeralContainers"])) {
    const detail =
      "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
    errors.push({ type: "Forbidden", field: "spec", detail })
  }
  return [...errors, ...tolerationErrors(spec, before)]
}

/** Of a new pod, or of a change to one through the main resource. */
export const podErrors = (pod: KubeObject, old: KubeObject | undefined): ReadonlyArray<FieldError> => {
  const errors = podSpecErrors(objectAt(pod, "spec"))
  if (old === undefined) return errors
  return errors.length > 0 ? errors : updateErrors(pod, old)
}

export const templateErrors = (
  object: KubeObject,
  restartPolicies?: ReadonlyArray<string>
): ReadonlyArray<FieldError> =>
  podSpecErrors(objectAt(object, "spec", "template", "spec"), "spec.template.spec", restartPolicies)
