/** Reading and rebuilding plain JSON values without ever trusting their shape. */
export type Json = null | boolean | number | string | ReadonlyArray<Json> | JsonObject

export interface JsonObject {
  readonly [key: string]: Json
}

export type Path = ReadonlyArray<string>

const none: JsonObject = Object.freeze({})
const nothing: ReadonlyArray<never> = Object.freeze([])

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const isList = (value: Json | undefined): value is ReadonlyArray<Json> => Array.isArray(value)

/** The value under a path of object keys, or undefined as soon as one is missing. Inherited names are not seen. */
export const at = (value: Json | undefined, ...path: Path): Json | undefined => {
  let current = value
  for (const key of path) {
    if (!isObject(current) || !Object.hasOwn(current, key)) return undefined
    current = current[key]
  }
  return current
}

export const stringAt = (value: Json | undefined, ...path: Path): string | undefined => {
  const found = at(value, ...path)
  return typeof found === "string" ? found : undefined
}

export const numberAt = (value: Json | undefined, ...path: Path): number | undefined => {
  const found = at(value, ...path)
  return typeof found === "number" ? found : undefined
}

export const booleanAt = (value: Json | undefined, ...path: Path): boolean | undefined => {
  const found = at(value, ...path)
  return typeof found === "boolean" ? found : undefined
}

/** An empty object stands for a missing one. */
export const objectAt = (value: Json | undefined, ...path: Path): JsonObject => {
  const found = at(value, ...path)
  return isObject(found) ? found : none
}

/** An empty list stands for a missing one. */
export const listAt = (value: Json | undefined, ...path: Path): ReadonlyArray<Json> => {
  const found = at(value, ...path)
  return isList(found) ? found : nothing
}

export const objectsAt = (value: Json | undefined, ...path: Path): ReadonlyArray<JsonObject> =>
  listAt(value, ...path).filter(isObject)

export const stringsAt = (value: Json | undefined, ...path: Path): ReadonlyArray<string> =>
  listAt(value, ...path).filter((item) => typeof item === "string")

/** A copy with one value replaced; missing objects on the way are made. */
export const withAt = (value: JsonObject, path: Path, replacement: Json): JsonObject => {
  const [key, ...rest] = path
  if (key === undefined) return isObject(replacement) ? replacement : value
  return { ...value, [key]: rest.length === 0 ? replacement : withAt(objectAt(value, key), rest, replacement) }
}

/** A copy without the value under the path. */
export const withoutAt = (value: JsonObject, path: Path): JsonObject => {
  const [key, ...rest] = path
  if (key === undefined || !Object.hasOwn(value, key)) return value
  if (rest.length > 0) {
    const inner = value[key]
    return isObject(inner) ? { ...value, [key]: withoutAt(inner, rest) } : value
  }
  const { [key]: _, ...others } = value
  return others
}

/** A copy in which the value is set only if the path holds nothing yet. */
export const withDefault = (value: JsonObject, path: Path, fallback: Json): JsonObject =>
  at(value, ...path) === undefined ? withAt(value, path, fallback) : value

/** A copy in which each listed key that is missing gets its value. */
export const withDefaults = (value: JsonObject, fallbacks: JsonObject): JsonObject => {
  const missing = Object.keys(fallbacks).filter((key) => value[key] === undefined)
  if (missing.length === 0) return value
  return { ...value, ...Object.fromEntries(missing.map((key) => [key, fallbacks[key] ?? null])) }
}

export const equal = (left: Json | undefined, right: Json | undefined): boolean => {
  if (left === right) return true
  if (isList(left)) {
    return isList(right) && left.length === right.length && left.every((item, index) => equal(item, right[index]))
  }
  if (!isObject(left) || !isObject(right)) return false
  const keys = Object.keys(left)
  return keys.length === Object.keys(right).length &&
    keys.every((key) => Object.hasOwn(right, key) && equal(left[key], right[key]))
}

/** For building objects with optional keys: `{ ...maybe("reason", reason) }`. */
export const maybe = (key: string, value: Json | undefined): JsonObject => value === undefined ? none : { [key]: value }

export const compare = (left: string, right: string): number => left < right ? -1 : left > right ? 1 : 0
