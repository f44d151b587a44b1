/** Reads protobuf messages into JSON by a small table of fields: only what kubectl insists on sending in this form. */
import { Result } from "effect"
import { type ApiFailure, badRequest } from "../object/ApiFailure.ts"
import { isList, isObject, type Json, type JsonObject } from "../object/json.ts"
import { timestamp } from "../object/Moment.ts"

type Scalar = "string" | "bytes" | "integer" | "count" | "boolean" | "flag" | "time" | "quantity" | "intOrString"
/**
 * `integer` and `boolean` are plain Go fields, whose zero means absent; `count` and `flag` are pointers, whose zero counts.
 * A map is repeated entries of key and value.
 */
export type Kind = Scalar | { readonly map: Scalar } | Message
export interface Message {
  readonly [field: number]: readonly [name: string, kind: Kind, repeated?: "repeated"]
}

const text = new TextDecoder()

class Truncated extends Error {}

/** @returns the value, as int64, and the offset behind it; numbers beyond 2^53 lose precision, which no field here reaches */
const varint = (bytes: Uint8Array, start: number): readonly [value: number, next: number] => {
  let value = 0n
  for (let i = start; i < start + 10; i++) {
    const byte = bytes[i]
    if (byte === undefined) break
    value |= BigInt(byte & 127) << BigInt(7 * (i - start))
    if (byte < 128) return [Number(BigInt.asIntN(64, value)), i + 1]
  }
  throw new Truncated()
}

const base64 = (bytes: Uint8Array): string => {
  let binary = ""
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary)
}

const timeMessage: Message = { 1: ["seconds", "integer"] }

const quantityMessage: Message = { 1: ["string", "string"] }
const intOrStringMessage: Message = { 1: ["type", "integer"], 2: ["intVal", "count"], 3: ["strVal", "string"] }

const isMap = (kind: Kind | undefined): kind is { readonly map: Scalar } => typeof kind === "object" && "map" in kind

const read = (bytes: Uint8Array, kind: Kind): Json | undefined => {
  if (kind === "string") return bytes.length === 0 ? undefined : text.decode(bytes)
  if (kind === "bytes") return base64(bytes)
  if (kind === "time") {
    const seconds = fields(bytes, timeMessage)["seconds"]
    return typeof seconds === "number" ? timestamp(seconds * 1000) : undefined
  }
  if (kind === "quantity") return fields(bytes, quantityMessage)["string"] ?? "0"
  if (kind === "intOrString") {
    const either = fields(bytes, intOrStringMessage)
    return either["type"] === 1 ? either["strVal"] ?? "" : either["intVal"] ?? 0
  }
  if (isMap(kind)) {
    const entry = fields(bytes, { 1: ["key", "string"], 2: ["value", kind.map] })
    return { [String(entry["key"] ?? "")]: entry["value"] ?? "" }
  }
  if (typeof kind === "object") return fields(bytes, kind)
  throw new Truncated()
}

const fields = (bytes: Uint8Array, message: Message): JsonObject => {
  const result: Record<string, Json> = {}
  let offset = 0
  while (offset < bytes.length) {
    const [tag, afterTag] = varint(bytes, offset)
    const known = message[Math.floor(tag / 8)]
    const wire = tag & 7
    let value: Json | undefined
    if (wire === 0) {
      const [number, next] = varint(bytes, afterTag)
      offset = next
      const kind = known?.[1]
      if (kind === "flag" || (kind === "boolean" && number !== 0)) value = number !== 0
      else if (kind === "count" || (kind === "integer" && number !== 0)) value = number
    } else if (wire === 2) {
      const [length, next] = varint(bytes, afterTag)
      if (length < 0 || next + length > bytes.length) throw new Truncated()
      offset = next + length
      const inner = bytes.subarray(next, offset)
      // An empty text is no text, except as an item: RBAC's apiGroups [""] means the core group.
      if (known?.[1] === "string" && known[2] === "repeated") value = text.decode(inner)
      else if (known !== undefined) value = read(inner, known[1])
    } else if (wire === 1 || wire === 5) {
      offset = afterTag + (wire === 1 ? 8 : 4)
      if (offset > bytes.length) throw new Truncated()
    } else throw new Truncated()
    if (known === undefined || value === undefined) continue
    const [name, kind, repeated] = known
    const before = result[name]
    if (isMap(kind)) result[name] = { ...(isObject(before) ? before : {}), ...(isObject(value) ? value : {}) }
    else if (repeated === undefined) result[name] = value
    else result[name] = [...(isList(before) ? before : []), value]
  }
  return result
}

export const decodeMessage = (bytes: Uint8Array, message: Message): Result.Result<JsonObject, ApiFailure> => {
  try {
    return Result.succeed(fields(bytes, message))
  } catch (error) {
    if (error instanceof Truncated) return Result.fail(badRequest("the protobuf body is malformed"))
    throw error
  }
}
