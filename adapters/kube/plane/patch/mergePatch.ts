/** JSON Merge Patch (RFC 7386). */
import { isObject, type Json, type JsonObject } from "../object/json.ts"

export const applyMergePatch = (document: Json | undefined, patch: Json): Json => {
  if (!isObject(patch)) return patch
  const result: Record<string, Json> = isObject(document) ? { ...document } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = applyMergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value)
  }
  return result
}

export const mergeObject = (document: JsonObject, patch: JsonObject): JsonObject => {
  const merged = applyMergePatch(document, patch)
  return isObject(merged) ? merged : document
}
