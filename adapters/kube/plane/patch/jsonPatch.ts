/** JSON Patch (RFC 6902). */
import { Result } from "effect"
import { type ApiFailure, ApiFailure as Failure, badRequest } from "../object/ApiFailure.ts"
import { equal, isList, isObject, type Json, type JsonObject, stringAt } from "../object/json.ts"

/** The limit a real API server sets. */
const operationLimit = 10_000

const refused = (text: string) => new Failure({ code: 422, reason: "Invalid", text, details: {} })

const parsePointer = (pointer: string): ReadonlyArray<string> | undefined => {
  if (pointer === "") return []
  if (!pointer.startsWith("/")) return undefined
  return pointer.slice(1).split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
}

const indexOf = (text: string, length: number): number | undefined => {
  if (!/^(0|[1-9]\d*)$/.test(text)) return undefined
  const index = Number(text)
  return index <= length ? index : undefined
}

const read = (document: Json, path: ReadonlyArray<string>): Json | undefined => {
  let value: Json | undefined = document
  for (const part of path) {
    if (isList(value)) value = value[indexOf(part, value.length - 1) ?? -1]
    else if (isObject(value) && Object.hasOwn(value, part)) value = value[part]
    else return undefined
  }
  return value
}

type Edit = (container: Json, key: string) => Json | undefined

/** Rebuilds the way to the last container; undefined if there is none. */
const edit = (document: Json, path: ReadonlyArray<string>, change: Edit): Json | undefined => {
  const [key, ...rest] = path
  if (key === undefined) return undefined
  if (rest.length === 0) return change(document, key)
  if (isList(document)) {
    const index = indexOf(key, document.length - 1)
    const current = index === undefined ? undefined : document[index]
    const inner = current === undefined ? undefined : edit(current, rest, change)
    return inner === undefined ? undefined : document.map((item, position) => position === index ? inner : item)
  }
  if (!isObject(document) || !Object.hasOwn(document, key)) return undefined
  const inner = edit(document[key] ?? null, rest, change)
  return inner === undefined ? undefined : { ...document, [key]: inner }
}

const adding = (value: Json): Edit => (container, key) => {
  if (isObject(container)) return { ...container, [key]: value }
  if (!isList(container)) return undefined
  const index = key === "-" ? container.length : indexOf(key, container.length)
  return index === undefined ? undefined : [...container.slice(0, index), value, ...container.slice(index)]
}

const removing: Edit = (container, key) => {
  if (isList(container)) {
    const index = indexOf(key, container.length - 1)
    return index === undefined ? undefined : container.filter((_, position) => position !== index)
  }
  if (!isObject(container) || !Object.hasOwn(container, key)) return undefined
  const { [key]: _, ...rest } = container
  return rest
}

const replacing = (value: Json): Edit => (container, key) => {
  if (isList(container)) {
    const index = indexOf(key, container.length - 1)
    return index === undefined ? undefined : container.map((item, position) => position === index ? value : item)
  }
  return isObject(container) && Object.hasOwn(container, key) ? { ...container, [key]: value } : undefined
}

const step = (document: Json, operation: JsonObject): Json | undefined => {
  const path = parsePointer(stringAt(operation, "path") ?? "?")
  if (path === undefined) return undefined
  const value = operation["value"] ?? null
  switch (stringAt(operation, "op")) {
    case "add":
      return path.length === 0 ? value : edit(document, path, adding(value))
    case "remove":
      return edit(document, path, removing)
    case "replace":
      return path.length === 0 ? value : edit(document, path, replacing(value))
    case "test":
      return equal(read(document, path), value) ? document : undefined
    case "copy":
    case "move": {
      const from = parsePointer(stringAt(operation, "from") ?? "?")
      const source = from === undefined ? undefined : read(document, from)
      if (from === undefined || source === undefined) return undefined
      const without = stringAt(operation, "op") === "move" ? edit(document, from, removing) : document
      return without === undefined ? undefined : edit(without, path, adding(source))
    }
    default:
      return undefined
  }
}

export const applyJsonPatch = (document: JsonObject, patch: Json): Result.Result<JsonObject, ApiFailure> => {
  if (!isList(patch)) return Result.fail(badRequest("a JSON patch is a list of operations"))
  if (patch.length > operationLimit) {
    return Result.fail(
      new Failure({
        code: 413,
        reason: "RequestEntityTooLarge",
        text: `The allowed maximum operations in a JSON patch is ${operationLimit}, got ${patch.length}`
      })
    )
  }
  let current: Json = document
  for (const operation of patch) {
    const next: Json | undefined = isObject(operation) ? step(current, operation) : undefined
    if (next === undefined) {
      const op = stringAt(operation, "op") ?? ""
      const path = stringAt(operation, "path") ?? ""
      return Result.fail(
        refused(
          op === "test"
            ? `the server rejected our request due to an error in our request: testing value ${path} failed`
            : `the server rejected our request due to an error in our request: ${op} operation does not apply: ${path}`
        )
      )
    }
    current = next
  }
  return isObject(current) ? Result.succeed(current) : Result.fail(badRequest("a JSON patch must leave an object"))
}
