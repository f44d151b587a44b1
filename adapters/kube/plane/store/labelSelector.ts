/** Label selectors, both the query text of a request and the LabelSelector object of a spec. */
import { Result } from "effect"
import { type ApiFailure, badRequest } from "../object/ApiFailure.ts"
import { type Json, type JsonObject, objectAt, objectsAt, stringAt, stringsAt } from "../object/json.ts"

export type LabelMatch = (labels: JsonObject) => boolean

const everything: LabelMatch = () => true
const all = (matches: ReadonlyArray<LabelMatch>): LabelMatch =>
  matches.length === 0 ? everything : (labels) => matches.every((match) => match(labels))

const among = (key: string, values: ReadonlyArray<string>): LabelMatch => (labels) => {
  const value = labels[key]
  return typeof value === "string" && values.includes(value)
}
const notAmong = (key: string, values: ReadonlyArray<string>): LabelMatch => (labels) => {
  const value = labels[key]
  return typeof value !== "string" || !values.includes(value)
}
const present = (key: string): LabelMatch => (labels) => labels[key] !== undefined
const absent = (key: string): LabelMatch => (labels) => labels[key] === undefined

const keyForm = "[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
const setTerm = new RegExp(`^(${keyForm})\\s+(in|notin)\\s*\\(([^()]*)\\)$`)
const equalityTerm = new RegExp(`^(${keyForm})\\s*(==|=|!=)\\s*([-A-Za-z0-9_.]*)$`)
const existsTerm = new RegExp(`^(!?)\\s*(${keyForm})$`)

/** Commas inside parentheses belong to a set. */
const terms = (text: string): ReadonlyArray<string> => {
  const found: Array<string> = []
  let depth = 0
  let start = 0
  for (let i = 0; i <= text.length; i++) {
    const character = text[i]
    if (character === "(") depth += 1
    if (character === ")") depth -= 1
    if (character === undefined || (character === "," && depth === 0)) {
      const term = text.slice(start, i).trim()
      if (term !== "") found.push(term)
      start = i + 1
    }
  }
  return found
}

export const parseLabelSelector = (text: string): Result.Result<LabelMatch, ApiFailure> => {
  const matches: Array<LabelMatch> = []
  for (const term of terms(text)) {
    const set = setTerm.exec(term)
    const equality = equalityTerm.exec(term)
    const exists = existsTerm.exec(term)
    if (set?.[1] !== undefined) {
      const values = (set[3] ?? "").split(",").map((value) => value.trim())
      matches.push(set[2] === "in" ? among(set[1], values) : notAmong(set[1], values))
    } else if (equality?.[1] !== undefined) {
      const values = [equality[3] ?? ""]
      matches.push(equality[2] === "!=" ? notAmong(equality[1], values) : among(equality[1], values))
    } else if (exists?.[2] !== undefined) {
      matches.push(exists[1] === "!" ? absent(exists[2]) : present(exists[2]))
    } else {
      return Result.fail(badRequest(`unable to parse requirement: found '${term.slice(0, 100)}'`))
    }
  }
  return Result.succeed(all(matches))
}

/** A LabelSelector object; an absent one matches nothing, an empty one everything. */
export const labelSelector = (selector: Json | undefined): LabelMatch => {
  if (selector === undefined) return () => false
  const matches = Object.entries(objectAt(selector, "matchLabels")).map(([key, value]) => among(key, [String(value)]))
  for (const expression of objectsAt(selector, "matchExpressions")) {
    const key = stringAt(expression, "key") ?? ""
    const values = stringsAt(expression, "values")
    switch (stringAt(expression, "operator")) {
      case "In":
        matches.push(among(key, values))
        break
      case "NotIn":
        matches.push(notAmong(key, values))
        break
      case "Exists":
        matches.push(present(key))
        break
      case "DoesNotExist":
        matches.push(absent(key))
        break
      default:
        matches.push(() => false)
    }
  }
  return all(matches)
}

/** A plain map, as Services and nodeSelector use it; an empty one matches everything. */
export const labelMap = (wanted: JsonObject): LabelMatch =>
  all(Object.entries(wanted).map(([key, value]) => among(key, [String(value)])))
