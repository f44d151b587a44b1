/** Admission of nodes, namespaces, secrets, CSRs, RBAC bindings and the other small kinds. */
import { Result } from "effect"
import { type ApiFailure, badRequest, type FieldError } from "../object/ApiFailure.ts"
import {
  at,
  equal,
  isObject,
  type JsonObject,
  listAt,
  objectAt,
  objectsAt,
  stringAt,
  withAt,
  withDefault,
  withDefaults
} from "../object/json.ts"
import { type KubeObject, nameOf, withMetadata } from "../object/KubeObject.ts"
import { canonicalQuantity } from "../object/quantity.ts"
import type { ResourceType } from "../registry/ResourceType.ts"
import { requiredText } from "./names.ts"

type Prepare = NonNullable<ResourceType["prepare"]>
type Validate = NonNullable<ResourceType["validate"]>

const encoder = new TextEncoder()

/** TaintNodesByCondition: a new node takes no pods until the lifecycle controller has seen it ready. */
export const prepareNode: Prepare = (object, old) => {
  const allocatable = at(object, "status", "allocatable")
  const capacity = at(object, "status", "capacity")
  const sized = allocatable === undefined && capacity !== undefined
    ? withAt(object, ["status", "allocatable"], capacity)
    : object
  if (old !== undefined) return Result.succeed(withDefault(sized, ["spec"], {}))
  const taints = objectsAt(sized, "spec", "taints")
  const key = "node.kubernetes.io/not-ready"
  return Result.succeed(
    taints.some((taint) => stringAt(taint, "key") === key && stringAt(taint, "effect") === "NoSchedule")
      ? sized
      : withAt(sized, ["spec", "taints"], [...taints, { key, effect: "NoSchedule" }])
  )
}

export const canonicalNode: NonNullable<ResourceType["canonical"]> = (object) =>
  ["capacity", "allocatable"].reduce((node, list) => {
    const amounts = at(node, "status", list)
    if (!isObject(amounts)) return node
    const written = Object.entries(amounts).map(([resource, amount]) => [resource, canonicalQuantity(amount)])
    return withAt(node, ["status", list], Object.fromEntries(written))
  }, object)

export const validateNode: Validate = (object, old) => {
  if (old === undefined) return []
  return ["podCIDR", "providerID"].flatMap((field): ReadonlyArray<FieldError> => {
    const before = stringAt(old, "spec", field)
    return before === undefined || before === "" || before === stringAt(object, "spec", field)
      ? []
      : [{ type: "Forbidden", field: "spec", detail: `node updates may not change ${field} except from "" to valid` }]
  })
}

export const prepareNamespace: Prepare = (object, old) => {
  const labels = { ...objectAt(object, "metadata", "labels"), "kubernetes.io/metadata.name": nameOf(object) }
  const labelled = withMetadata(object, { labels })
  if (old !== undefined) return Result.succeed({ ...labelled, spec: objectAt(old, "spec") })
  return Result.succeed({ ...labelled, spec: { finalizers: ["kubernetes"] }, status: { phase: "Active" } })
}

const utf8ToBase64 = (text: string): string => {
  let binary = ""
  for (const byte of encoder.encode(text)) binary += String.fromCharCode(byte)
  return btoa(binary)
}

/** stringData is write-only: it ends up, encoded, in data. */
export const prepareSecret: Prepare = (object) => {
  const { stringData, ...rest } = withDefaults(object, { type: "Opaque" })
  if (!isObject(stringData)) return Result.succeed(rest)
  const encoded = Object.fromEntries(
    Object.entries(stringData).map(([key, value]) => [key, utf8ToBase64(String(value))])
  )
  return Result.succeed({ ...rest, data: { ...objectAt(rest, "data"), ...encoded } })
}

const dataKey = /^[-._a-zA-Z0-9]+$/
const keyErrors = (object: KubeObject, field: string): ReadonlyArray<FieldError> =>
  Object.keys(objectAt(object, field)).flatMap((key): ReadonlyArray<FieldError> =>
    dataKey.test(key) && key.length <= 253
      ? []
      : [{
        type: "Invalid",
        field: `${field}[${key}]`,
        value: key,
        detail: "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
      }]
  )

const immutableErrors = (object: KubeObject, old: KubeObject | undefined): ReadonlyArray<FieldError> => {
  if (old === undefined || at(old, "immutable") !== true) return []
  return ["immutable", "data", "binaryData"].flatMap((field): ReadonlyArray<FieldError> =>
    equal(object[field], old[field])
      ? []
      : [{ type: "Forbidden", field, detail: "field is immutable when `immutable` is set" }]
  )
}

export const validateSecret: Validate = (object, old) => {
  const changed: ReadonlyArray<FieldError> = old !== undefined && stringAt(old, "type") !== stringAt(object, "type")
    ? [{ type: "Invalid", field: "type", value: stringAt(object, "type") ?? "", detail: "field is immutable" }]
    : []
  const unencoded = Object.entries(objectAt(object, "data")).flatMap(([key, value]): ReadonlyArray<FieldError> =>
    typeof value === "string" && /^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(value)
      ? []
      : [{ type: "Invalid", field: `data[${key}]`, detail: "illegal base64 data" }]
  )
  return [...keyErrors(object, "data"), ...changed, ...unencoded, ...immutableErrors(object, old)]
}

export const validateConfigMap: Validate = (object, old) => [
  ...keyErrors(object, "data"),
  ...keyErrors(object, "binaryData"),
  ...Object.entries(objectAt(object, "data")).flatMap(([key, value]): ReadonlyArray<FieldError> =>
    typeof value === "string"
      ? []
      : [{ type: "Invalid", field: `data.${key}`, value: String(value), detail: "must be a string" }]
  ),
  ...immutableErrors(object, old)
]

export const prepareRequest: Prepare = (object, old, { user }): Result.Result<KubeObject, ApiFailure> => {
  if (old !== undefined) return Result.succeed({ ...object, spec: objectAt(old, "spec") })
  const request = stringAt(object, "spec", "request")
  if (request === undefined) return Result.fail(badRequest("spec.request is required"))
  const spec = {
    ...objectAt(object, "spec"),
    username: user.username,
    groups: user.groups,
    ...(user.uid === undefined ? {} : { uid: user.uid })
  }
  return Result.succeed({ ...object, spec, status: {} })
}

export const validateRequest: Validate = (object) => {
  const seconds = at(object, "spec", "expirationSeconds")
  return [
    ...requiredText(object, "spec", "signerName"),
    ...(listAt(object, "spec", "usages").length === 0
      ? [{ type: "Required", field: "spec.usages", detail: "" } as const]
      : []),
    ...(typeof seconds === "number" && seconds < 600
      ? [
        {
          type: "Invalid",
          field: "spec.expirationSeconds",
          value: String(seconds),
          detail: "may not specify a duration less than 600 seconds (10 minutes)"
        } as const
      ]
      : [])
  ]
}

/** RBAC subjects and references get the API group their kind implies. */
export const prepareBinding: Prepare = (object) => {
  const subjects = objectsAt(object, "subjects").map((subject): JsonObject =>
    stringAt(subject, "kind") === "ServiceAccount"
      ? subject
      : withDefaults(subject, { apiGroup: "rbac.authorization.k8s.io" })
  )
  const referenced = withDefault(object, ["roleRef", "apiGroup"], "rbac.authorization.k8s.io")
  return Result.succeed(subjects.length === 0 ? referenced : { ...referenced, subjects })
}

export const validateBinding: Validate = (object, old) => {
  if (old !== undefined && !equal(at(old, "roleRef"), at(object, "roleRef"))) {
    return [{
      type: "Invalid",
      field: "roleRef",
      value: JSON.stringify(at(object, "roleRef")),
      detail: "cannot change roleRef"
    }]
  }
  return requiredText(object, "roleRef", "name")
}

export const prepareVolumeClaim: Prepare = (object, old) =>
  Result.succeed(
    old === undefined
      ? { ...withDefault(object, ["spec", "volumeMode"], "Filesystem"), status: { phase: "Pending" } }
      : object
  )

export const prepareVolume: Prepare = (object, old) => {
  const filled = withDefault(
    withDefault(object, ["spec", "volumeMode"], "Filesystem"),
    ["spec", "persistentVolumeReclaimPolicy"],
    "Retain"
  )
  return Result.succeed(old === undefined ? { ...filled, status: { phase: "Available" } } : filled)
}
