/**
 * Server-side apply, simplified: appliers own the fields they applied; what one no longer applies goes away unless another
 * applier owns it; a different value for another applier's field is a conflict unless forced. Plain updates own nothing.
 */
import { Result } from "effect"
import { ApiFailure, badRequest } from "../object/ApiFailure.ts"
import {
  at,
  equal,
  isList,
  isObject,
  type Json,
  type JsonObject,
  objectAt,
  objectsAt,
  stringAt,
  withoutAt
} from "../object/json.ts"
import { type KubeObject, metadataOf } from "../object/KubeObject.ts"
import { timestamp } from "../object/Moment.ts"
import { listStrategy } from "./mergeKeys.ts"

export interface Applied {
  readonly manager: string
  readonly force: boolean
  readonly apiVersion: string
  readonly subresource: string
  readonly now: number
}

const unowned = ["apiVersion", "kind", "status"]
const unownedMetadata = [
  "name",
  "namespace",
  "uid",
  "resourceVersion",
  "creationTimestamp",
  "generation",
  "managedFields",
  "deletionTimestamp"
]

const keysOf = (field: string, list: ReadonlyArray<Json>): string | undefined => {
  const strategy = listStrategy(field, list, [])
  return typeof strategy === "object" ? strategy.by : strategy === "values" ? "" : undefined
}

const itemKey = (item: Json, by: string): string =>
  by === "" ? `v:${JSON.stringify(item)}` : `k:${JSON.stringify({ [by]: at(item, by) ?? null })}`

/** The fieldsV1 set of a configuration. */
const fieldsOf = (value: Json, field: string): JsonObject => {
  if (isObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [`f:${key}`, fieldsOf(item, key)]))
  }
  const by = isList(value) ? keysOf(field, value) : undefined
  if (!isList(value) || by === undefined) return {}
  return Object.fromEntries(
    value.map((item) => [itemKey(item, by), by === "" ? {} : { ".": {}, ...fieldsOf(item, "") }])
  )
}

const merge = (current: Json | undefined, applied: Json, field: string): Json => {
  if (isObject(applied)) {
    const result: Record<string, Json> = isObject(current) ? { ...current } : {}
    for (const [key, item] of Object.entries(applied)) result[key] = merge(result[key], item, key)
    return result
  }
  if (!isList(applied)) return applied
  const by = keysOf(field, applied)
  if (by === undefined || !isList(current)) return applied
  const kept = current.map((item) => {
    const change = applied.find((other) => itemKey(other, by) === itemKey(item, by))
    return change === undefined ? item : merge(item, change, "")
  })
  return [...kept, ...applied.filter((item) => !current.some((other) => itemKey(other, by) === itemKey(item, by)))]
}

/** Takes away what `before` owned, neither `now` nor any of the others own. */
const withdraw = (
  value: Json,
  before: JsonObject,
  now: JsonObject,
  others: ReadonlyArray<JsonObject>,
  field: string
): Json | undefined => {
  if (isObject(value)) {
    const result: Record<string, Json> = { ...value }
    for (const [path, fields] of Object.entries(before)) {
      const key = path.slice(2)
      const current = result[key]
      if (!path.startsWith("f:") || current === undefined) continue
      const owners = others.flatMap((other) => other[path] ?? [])
      const inner = isObject(fields) ? fields : {}
      if (now[path] === undefined && owners.length === 0 && Object.keys(inner).length === 0) delete result[key]
      else if (Object.keys(inner).length > 0) {
        const left = withdraw(current, inner, objectAt(now, path), owners.filter(isObject), key)
        const emptied = left === undefined || (isObject(left) && Object.keys(left).length === 0) ||
          (isList(left) && left.length === 0)
        if (emptied && now[path] === undefined && owners.length === 0) delete result[key]
        else if (left !== undefined) result[key] = left
      }
    }
    return result
  }
  const by = isList(value) ? keysOf(field, value) : undefined
  if (!isList(value) || by === undefined) return value
  return value.flatMap((item) => {
    const path = itemKey(item, by)
    const fields = before[path]
    if (!isObject(fields)) return [item]
    const owners = others.flatMap((other) => other[path] ?? []).filter(isObject)
    if (now[path] === undefined && owners.length === 0) return []
    return withdraw(item, fields, objectAt(now, path), owners, "") ?? []
  })
}

/** Paths, as kubectl prints them, where another applier's value would change. */
const conflicts = (
  current: Json | undefined,
  applied: Json,
  owned: JsonObject,
  field: string,
  path: string
): ReadonlyArray<string> => {
  if (isObject(applied)) {
    return Object.entries(applied).flatMap(([key, item]) => {
      const fields = owned[`f:${key}`]
      return isObject(fields) ? conflicts(at(current, key), item, fields, key, `${path}.${key}`) : []
    })
  }
  const by = isList(applied) ? keysOf(field, applied) : undefined
  if (isList(applied) && by !== undefined) {
    return applied.flatMap((item) => {
      const key = itemKey(item, by)
      const fields = owned[key]
      const existing = isList(current) ? current.find((other) => itemKey(other, by) === key) : undefined
      return isObject(fields) && by !== "" ? conflicts(existing, item, fields, "", `${path}[${key.slice(2)}]`) : []
    })
  }
  return equal(current, applied) ? [] : [path]
}

const configurationOf = (object: KubeObject, subresource: string): JsonObject => {
  let result: JsonObject = object
  for (const key of unowned) if (!(key === "status" && subresource === "status")) result = withoutAt(result, [key])
  for (const key of unownedMetadata) result = withoutAt(result, ["metadata", key])
  return Object.keys(metadataOf(result)).length === 0 ? withoutAt(result, ["metadata"]) : result
}

export const serverSideApply = (
  current: KubeObject | undefined,
  configuration: KubeObject,
  { manager, force, apiVersion, subresource, now }: Applied
): Result.Result<KubeObject, ApiFailure> => {
  if (at(configuration, "metadata", "managedFields") !== undefined) {
    return Result.fail(badRequest("metadata.managedFields must be nil"))
  }
  const entries = objectsAt(current, "metadata", "managedFields")
  const mine = (entry: JsonObject) =>
    stringAt(entry, "manager") === manager && stringAt(entry, "operation") === "Apply" &&
    (stringAt(entry, "subresource") ?? "") === subresource
  const others = entries.filter((entry) => !mine(entry) && stringAt(entry, "operation") === "Apply")
  const applied = configurationOf(configuration, subresource)
  const fields = fieldsOf(applied, "")
  if (!force && current !== undefined) {
    for (const entry of others) {
      const found = conflicts(current, applied, objectAt(entry, "fieldsV1"), "", "")
      if (found.length === 0) continue
      const by = stringAt(entry, "manager") ?? ""
      return Result.fail(
        new ApiFailure({
          code: 409,
          reason: "Conflict",
          text: `Apply failed with ${found.length} conflict${found.length === 1 ? "" : "s"}: ${
            found.length === 1
              ? `conflict with "${by}": ${found[0]}`
              : `conflicts with "${by}":\n- ${found.join("\n- ")}`
          }`,
          details: {
            causes: found.map((path) => ({
              reason: "FieldManagerConflict",
              message: `conflict with "${by}"`,
              field: path
            }))
          }
        })
      )
    }
  }
  const before = objectAt(entries.find(mine), "fieldsV1")
  const merged = merge(current, withoutAt(configuration, ["metadata", "managedFields"]), "")
  const left = withdraw(merged, before, fields, others.map((entry) => objectAt(entry, "fieldsV1")), "")
  if (!isObject(left)) return Result.fail(badRequest("an applied configuration is an object"))
  const same = entries.find((entry) => mine(entry) && equal(objectAt(entry, "fieldsV1"), fields))
  const entry: JsonObject = same ?? {
    manager,
    operation: "Apply",
    apiVersion,
    time: timestamp(now),
    fieldsType: "FieldsV1",
    fieldsV1: fields,
    ...(subresource === "" ? {} : { subresource })
  }
  const remaining = entries.filter((other) => !mine(other))
  return Result.succeed({ ...left, metadata: { ...metadataOf(left), managedFields: [...remaining, entry] } })
}
