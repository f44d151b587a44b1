/**
 * Structural schemas of custom resources: defaulting, pruning and validation.
 * CEL rules (x-kubernetes-validations) are stored and served, not evaluated.
 */
import type { FieldError } from "../object/ApiFailure.ts"
import {
  at,
  equal,
  isList,
  isObject,
  type Json,
  type JsonObject,
  listAt,
  numberAt,
  objectAt,
  objectsAt,
  stringAt,
  stringsAt
} from "../object/json.ts"

const preserves = (schema: JsonObject) => schema["x-kubernetes-preserve-unknown-fields"] === true
const properties = (schema: JsonObject) => objectAt(schema, "properties")
const embedded = (schema: JsonObject) => schema["x-kubernetes-embedded-resource"] === true
const alwaysKept = ["apiVersion", "kind", "metadata"]

/** Writes the schema's defaults into what is missing; a null that may not be null counts as missing. */
export const withSchemaDefaults = (value: Json, schema: JsonObject): Json => {
  if (isObject(value)) {
    let result: JsonObject = value
    for (const [key, property] of Object.entries(properties(schema))) {
      if (!isObject(property)) continue
      const current = at(result, key)
      const missing = current === undefined || (current === null && property["nullable"] !== true)
      if (missing && property["default"] !== undefined) {
        result = { ...result, [key]: withSchemaDefaults(property["default"], property) }
      } else if (current !== undefined && current !== null) {
        const filled = withSchemaDefaults(current, property)
        if (filled !== current) result = { ...result, [key]: filled }
      }
    }
    const additional = schema["additionalProperties"]
    if (isObject(additional)) {
      result = Object.fromEntries(
        Object.entries(result).map(([key, item]) => [key, withSchemaDefaults(item, additional)])
      )
    }
    return result
  }
  const items = schema["items"]
  return isList(value) && isObject(items) ? value.map((item) => withSchemaDefaults(item, items)) : value
}

/** Removes what the schema does not know; `dropped` hears of each removed path. */
export const pruned = (value: Json, schema: JsonObject, path: string, dropped: (path: string) => void): Json => {
  if (isList(value)) {
    const items = schema["items"]
    return isObject(items) ? value.map((item, index) => pruned(item, items, `${path}[${index}]`, dropped)) : value
  }
  if (!isObject(value)) return value
  const additional = schema["additionalProperties"]
  const known = properties(schema)
  const result: Record<string, Json> = {}
  for (const [key, item] of Object.entries(value)) {
    const property = Object.hasOwn(known, key) ? known[key] : undefined
    const inner = path === "" ? key : `${path}.${key}`
    if (isObject(property)) result[key] = pruned(item, property, inner, dropped)
    else if (isObject(additional)) result[key] = pruned(item, additional, inner, dropped)
    else if (additional === true || preserves(schema) || (embedded(schema) && alwaysKept.includes(key))) {
      result[key] = item
    } else dropped(inner)
  }
  return result
}

const typeOf = (value: Json): string =>
  value === null
    ? "null"
    : isList(value)
    ? "array"
    : typeof value === "number"
    ? Number.isInteger(value) ? "integer" : "number"
    : typeof value

const typeFits = (value: Json, type: string): boolean => {
  const actual = typeOf(value)
  return actual === type || (type === "number" && actual === "integer")
}

const shown = (value: Json): string => typeof value === "string" ? value : JSON.stringify(value)

const typeError = (value: Json, schema: JsonObject, field: string): FieldError | undefined => {
  if (schema["x-kubernetes-int-or-string"] === true) {
    return typeof value === "string" || Number.isInteger(value)
      ? undefined
      : { type: "Invalid", field, value: typeOf(value), detail: "must be of type integer or string" }
  }
  const type = stringAt(schema, "type")
  return type === undefined || type === "" || typeFits(value, type)
    ? undefined
    : {
      type: "Invalid",
      field,
      value: typeOf(value),
      detail: `${field} in body must be of type ${type}: "${typeOf(value)}"`
    }
}

const patterns = new Map<string, RegExp | undefined>()
const patternOf = (source: string): RegExp | undefined => {
  if (!patterns.has(source)) {
    try {
      patterns.set(source, new RegExp(source, "u"))
    } catch {
      // RE2 and ECMAScript differ in corners; a pattern we cannot read is not enforced.
      patterns.set(source, undefined)
    }
  }
  return patterns.get(source)
}

const stringErrors = (value: string, schema: JsonObject, field: string): ReadonlyArray<FieldError> => {
  const errors: Array<FieldError> = []
  const pattern = stringAt(schema, "pattern")
  const length = [...value].length
  const invalid = (detail: string) =>
    errors.push({ type: "Invalid", field, value, detail: `${field} in body ${detail}` })
  if (pattern !== undefined && patternOf(pattern)?.test(value) === false) invalid(`should match '${pattern}'`)
  if (length < (numberAt(schema, "minLength") ?? 0)) {
    invalid(`should be at least ${numberAt(schema, "minLength")} chars long`)
  }
  if (length > (numberAt(schema, "maxLength") ?? Infinity)) {
    invalid(`should be at most ${numberAt(schema, "maxLength")} chars long`)
  }
  return errors
}

const numberErrors = (value: number, schema: JsonObject, field: string): ReadonlyArray<FieldError> => {
  const errors: Array<FieldError> = []
  const minimum = numberAt(schema, "minimum")
  const maximum = numberAt(schema, "maximum")
  const multiple = numberAt(schema, "multipleOf")
  const invalid = (detail: string) =>
    errors.push({ type: "Invalid", field, value: String(value), detail: `${field} in body ${detail}` })
  if (minimum !== undefined && (schema["exclusiveMinimum"] === true ? value <= minimum : value < minimum)) {
    invalid(`should be greater than ${schema["exclusiveMinimum"] === true ? "" : "or equal to "}${minimum}`)
  }
  if (maximum !== undefined && (schema["exclusiveMaximum"] === true ? value >= maximum : value > maximum)) {
    invalid(`should be less than ${schema["exclusiveMaximum"] === true ? "" : "or equal to "}${maximum}`)
  }
  if (multiple !== undefined && value % multiple !== 0) invalid(`should be a multiple of ${multiple}`)
  return errors
}

const listErrors = (value: ReadonlyArray<Json>, schema: JsonObject, field: string): ReadonlyArray<FieldError> => {
  const errors: Array<FieldError> = []
  if (value.length < (numberAt(schema, "minItems") ?? 0)) {
    errors.push({
      type: "Invalid",
      field,
      value: String(value.length),
      detail: `${field} in body should have at least ${numberAt(schema, "minItems")} items`
    })
  }
  if (value.length > (numberAt(schema, "maxItems") ?? Infinity)) {
    errors.push({ type: "TooLong", field, detail: `must have at most ${numberAt(schema, "maxItems")} items` })
  }
  const kind = stringAt(schema, "x-kubernetes-list-type")
  const keys = stringsAt(schema, "x-kubernetes-list-map-keys")
  if (kind === "map" || kind === "set") {
    const identities = value.map((item) =>
      JSON.stringify(kind === "set" ? item : keys.map((key) => at(item, key) ?? null))
    )
    const seen = new Set<string>()
    identities.forEach((identity, index) => {
      if (seen.has(identity)) {
        errors.push({ type: "Duplicate", field: `${field}[${index}]`, value: identity, detail: "" })
      }
      seen.add(identity)
    })
  }
  const items = schema["items"]
  if (isObject(items)) value.forEach((item, index) => errors.push(...schemaErrors(item, items, `${field}[${index}]`)))
  return errors
}

const objectErrors = (value: JsonObject, schema: JsonObject, field: string): ReadonlyArray<FieldError> => {
  const errors: Array<FieldError> = []
  const inner = (key: string) => field === "" ? key : `${field}.${key}`
  for (const key of stringsAt(schema, "required")) {
    if (!Object.hasOwn(value, key)) errors.push({ type: "Required", field: inner(key), detail: "" })
  }
  const count = Object.keys(value).length
  if (count < (numberAt(schema, "minProperties") ?? 0)) {
    errors.push({
      type: "Invalid",
      field,
      value: String(count),
      detail: `${field} in body should have at least ${numberAt(schema, "minProperties")} properties`
    })
  }
  if (count > (numberAt(schema, "maxProperties") ?? Infinity)) {
    errors.push({
      type: "Invalid",
      field,
      value: String(count),
      detail: `${field} in body should have at most ${numberAt(schema, "maxProperties")} properties`
    })
  }
  const known = properties(schema)
  const additional = schema["additionalProperties"]
  for (const [key, item] of Object.entries(value)) {
    const property = Object.hasOwn(known, key) ? known[key] : additional
    if (isObject(property)) errors.push(...schemaErrors(item, property, inner(key)))
  }
  return errors
}

export const schemaErrors = (value: Json, schema: JsonObject, field: string): ReadonlyArray<FieldError> => {
  if (value === null && schema["nullable"] === true) return []
  const wrong = typeError(value, schema, field)
  if (wrong !== undefined) return [wrong]
  const errors: Array<FieldError> = []
  const allowed = listAt(schema, "enum")
  if (allowed.length > 0 && !allowed.some((item) => equal(item, value))) {
    errors.push({
      type: "NotSupported",
      field,
      value: shown(value),
      detail: `supported values: ${allowed.map((a) => JSON.stringify(a)).join(", ")}`
    })
  }
  if (typeof value === "string") errors.push(...stringErrors(value, schema, field))
  if (typeof value === "number") errors.push(...numberErrors(value, schema, field))
  if (isList(value)) errors.push(...listErrors(value, schema, field))
  if (isObject(value)) errors.push(...objectErrors(value, schema, field))
  for (const part of objectsAt(schema, "allOf")) errors.push(...schemaErrors(value, part, field))
  const any = objectsAt(schema, "anyOf")
  if (any.length > 0 && !any.some((part) => schemaErrors(value, part, field).length === 0)) {
    errors.push({
      type: "Invalid",
      field,
      value: shown(value),
      detail: `${field} in body must validate at least one schema (anyOf)`
    })
  }
  const one = objectsAt(schema, "oneOf")
  if (one.length > 0 && one.filter((part) => schemaErrors(value, part, field).length === 0).length !== 1) {
    errors.push({
      type: "Invalid",
      field,
      value: shown(value),
      detail: `${field} in body must validate one and only one schema (oneOf)`
    })
  }
  const not = schema["not"]
  if (isObject(not) && schemaErrors(value, not, field).length === 0) {
    errors.push({
      type: "Invalid",
      field,
      value: shown(value),
      detail: `${field} in body must not validate the schema (not)`
    })
  }
  return errors
}
