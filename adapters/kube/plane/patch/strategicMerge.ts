/** Strategic merge patch: merge patch that knows which lists have keys, with `$patch`, `$retainKeys`, `$setElementOrder`. */
import { Result } from "effect"
import { type ApiFailure, badRequest } from "../object/ApiFailure.ts"
import { equal, isList, isObject, type Json, type JsonObject, listAt, stringsAt } from "../object/json.ts"
import { listStrategy } from "./mergeKeys.ts"

const orderPrefix = "$setElementOrder/"
const deletePrefix = "$deleteFromPrimitiveList/"

const cleaned = (value: Json): Json => {
  if (isList(value)) return value.filter((item) => !(isObject(item) && item["$patch"] !== undefined)).map(cleaned)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).filter(([key, item]) => !key.startsWith("$") && item !== null).map((
      [key, item]
    ) => [key, cleaned(item)])
  )
}

const identity = (item: Json, by: string): Json | undefined => isObject(item) ? item[by] : undefined

/** Puts items the order names in that order; others keep their place relative to their left neighbour. */
const ordered = (
  items: ReadonlyArray<Json>,
  order: ReadonlyArray<Json>,
  same: (item: Json, wanted: Json) => boolean
): ReadonlyArray<Json> => {
  const placed = order.flatMap((wanted) => items.filter((item) => same(item, wanted)))
  const result: Array<Json> = [...placed]
  items.forEach((item, index) => {
    if (placed.includes(item)) return
    const left = items[index - 1]
    result.splice(left === undefined ? 0 : result.indexOf(left) + 1, 0, item)
  })
  return result
}

const mergeValues = (list: ReadonlyArray<Json>, patch: ReadonlyArray<Json>): ReadonlyArray<Json> => [
  ...list,
  ...patch.filter((item) => !list.some((existing) => equal(existing, item)))
]

const mergeKeyed = (
  list: ReadonlyArray<Json>,
  patch: ReadonlyArray<Json>,
  by: string
): Result.Result<ReadonlyArray<Json>, ApiFailure> => {
  if (patch.some((item) => isObject(item) && item["$patch"] === "replace")) {
    return Result.succeed(patch.filter((item) => !(isObject(item) && item["$patch"] === "replace")).map(cleaned))
  }
  let result = list
  for (const item of patch) {
    if (!isObject(item)) return Result.fail(badRequest(`expected an object in a list merged by ${by}`))
    const key = item[by]
    if (key === undefined) {
      return Result.fail(
        badRequest(`map: ${JSON.stringify(item).slice(0, 200)} does not contain declared merge key: ${by}`)
      )
    }
    const matches = (existing: Json) => equal(identity(existing, by), key)
    if (item["$patch"] === "delete") {
      result = result.filter((existing) => !matches(existing))
      continue
    }
    const index = result.findIndex(matches)
    const current = result[index]
    if (current === undefined || !isObject(current)) result = [...result, cleaned(item)]
    else {
      const merged = mergeObjects(current, item)
      if (Result.isFailure(merged)) return Result.fail(merged.failure)
      result = result.map((existing, position) => position === index ? merged.success : existing)
    }
  }
  return Result.succeed(result)
}

const mergeLists = (
  field: string,
  current: ReadonlyArray<Json>,
  patch: ReadonlyArray<Json>
): Result.Result<ReadonlyArray<Json>, ApiFailure> => {
  const strategy = listStrategy(field, current, patch)
  if (strategy === "replace") return Result.succeed(patch.map(cleaned))
  if (strategy === "values") return Result.succeed(mergeValues(current, patch))
  return mergeKeyed(current, patch, strategy.by)
}

const retained = (document: JsonObject, patch: JsonObject): JsonObject => {
  if (patch["$retainKeys"] === undefined) return document
  const keep = new Set(stringsAt(patch, "$retainKeys"))
  return Object.fromEntries(Object.entries(document).filter(([key]) => keep.has(key)))
}

const mergeObjects = (document: JsonObject, patch: JsonObject): Result.Result<JsonObject, ApiFailure> => {
  const directive = patch["$patch"]
  if (directive === "delete") return Result.succeed({})
  if (directive === "replace") {
    const replaced = cleaned(patch)
    return Result.succeed(isObject(replaced) ? replaced : {})
  }
  if (directive !== undefined && directive !== "merge") {
    return Result.fail(badRequest(`unknown patch type found: ${String(directive)}`))
  }
  const result: Record<string, Json> = { ...retained(document, patch) }
  for (const [key, value] of Object.entries(patch)) {
    if (key === "$retainKeys" || key === "$patch") continue
    if (key.startsWith(deletePrefix)) {
      const field = key.slice(deletePrefix.length)
      const gone = listAt(patch, key)
      result[field] = listAt(result, field).filter((item) => !gone.some((other) => equal(item, other)))
      continue
    }
    if (key.startsWith("$")) continue
    const current = Object.hasOwn(result, key) ? result[key] : undefined
    if (value === null) delete result[key]
    else if (isList(value)) {
      const merged = mergeLists(key, isList(current) ? current : [], value)
      if (Result.isFailure(merged)) return Result.fail(merged.failure)
      result[key] = merged.success
    } else if (isObject(value)) {
      if (value["$patch"] === "delete") delete result[key]
      else {
        const merged = mergeObjects(isObject(current) ? current : {}, value)
        if (Result.isFailure(merged)) return Result.fail(merged.failure)
        result[key] = merged.success
      }
    } else result[key] = value
  }
  for (const key of Object.keys(patch)) {
    if (!key.startsWith(orderPrefix)) continue
    const field = key.slice(orderPrefix.length)
    const items = listAt(result, field)
    const strategy = listStrategy(field, items, [])
    if (items.length === 0 || strategy === "replace") continue
    result[field] = ordered(
      items,
      listAt(patch, key),
      (item, wanted) =>
        strategy === "values" ? equal(item, wanted) : equal(identity(item, strategy.by), identity(wanted, strategy.by))
    )
  }
  return Result.succeed(result)
}

export const applyStrategicMergePatch = (document: JsonObject, patch: Json): Result.Result<JsonObject, ApiFailure> =>
  isObject(patch)
    ? mergeObjects(document, patch)
    : Result.fail(badRequest(`a strategic merge patch is an object, not ${typeof patch}`))
