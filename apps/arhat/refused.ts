/** A key that other agents have and that is refused by name, unless it asks for nothing. */
import { Schema } from "effect"

const asksForNothing = (value: unknown): boolean => {
  if (value === undefined || value === null || value === false || value === "") return true
  if (Array.isArray(value)) return value.length === 0
  if (typeof value !== "object") return false
  return ("enabled" in value && value.enabled === false) || Object.values(value).every(asksForNothing)
}

/** The sentence says why, or what has its place, and what to do. */
export const refused = (sentence: string) =>
  Schema.optionalKey(Schema.Unknown.check(Schema.makeFilter((value) => asksForNothing(value) || sentence)))
