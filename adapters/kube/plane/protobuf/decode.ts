/** Reads protobuf messages into JSON by a small table of fields: only what kubectl insists on sending in this form. */
import { Result } from "effect"
import { type ApiFailure, badRequest } from "../object/ApiFailure.ts"
import type { Json, JsonObject } from "../object/json.ts"
import { timestamp } from "../object/Moment.ts"

export type Kind = "string" | "bytes" | "integer" | "boolean" | "time" | Message
export interface Message {
  readonly [field: number]: readonly [name: string, kind: Kind, repeated?: "repeated"]
}

const text = new TextDecoder()

class Truncated extends Error {}

/** @returns the value and the offset behind it; numbers beyond 2^53 lose precision, which no field here reaches */
const varint = (bytes: Uint8Array, start: number): readonly [value: number, next: number] => {
  let value = 0
  let scale = 1
  for (let i = start; i < start + 10; i++) {
    const byte = bytes[i]
    if (byte === undefined) break
    value += (byte & 127) * scale
    if (byte < 128) return [value >= 2 ** 63 ? value - 2 ** 64 : value, i + 1]
    scale *= 128
  }
  throw new Truncated()
}

const base64 = (bytes: Uint8Array): string => {
  let binary = ""
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary)
}

const timeMessage: Message = { 1: ["seconds", "integer"] }

const read = (bytes: Uint8Array, kind: Kind): Json => {
  if (kind === "string") return text.decode(bytes)
  if (kind === "bytes") return base64(bytes)
  if (kind === "time") {
    const seconds = fields(bytes, timeMessage)["seconds"]
    return typeof seconds === "number" ? timestamp(seconds * 1000) : null
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
      if (known?.[1] === "boolean") value = number !== 0
      else if (known?.[1] === "integer") value = number
    } else if (wire === 2) {
      const [length, next] = varint(bytes, afterTag)
      if (length < 0 || next + length > bytes.length) throw new Truncated()
      offset = next + length
      if (known !== undefined) value = read(bytes.subarray(next, offset), known[1])
    } else if (wire === 1 || wire === 5) {
      offset = afterTag + (wire === 1 ? 8 : 4)
      if (offset > bytes.length) throw new Truncated()
    } else throw new Truncated()
    if (known === undefined || value === undefined) continue
    const [name, , repeated] = known
    const before = result[name]
    result[name] = repeated === undefined
      ? value
      : [...(Array.isArray(before) ? before as ReadonlyArray<Json> : []), value]
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
