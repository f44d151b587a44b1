/** The small part of JSONPath that printer columns and scale paths use: names, indexes, and `[?(@.a=="b")]` filters. */
import { isList, isObject, type Json } from "../object/json.ts"

type Step =
  | { readonly name: string }
  | { readonly index: number }
  | { readonly every: true }
  | { readonly field: ReadonlyArray<string>; readonly equals: string }

const token =
  /\.((?:\\.|[^.[\\])+)|\[(-?\d+)\]|\[\*\]|\['([^']*)'\]|\["([^"]*)"\]|\[\?\(@\.([^=)\s]+)\s*==\s*(?:"([^"]*)"|'([^']*)')\s*\)\]/y

export const parseJsonPath = (text: string): ReadonlyArray<Step> | undefined => {
  const source = text.startsWith("{") && text.endsWith("}") ? text.slice(1, -1) : text
  const path = source.startsWith("$") ? source.slice(1) : source
  const steps: Array<Step> = []
  token.lastIndex = 0
  while (token.lastIndex < path.length) {
    const match = token.exec(path)
    if (match === null) return undefined
    const [whole, name, index, single, double, field, value, other] = match
    if (name !== undefined) steps.push({ name: name.replace(/\\(.)/g, "$1") })
    else if (index !== undefined) steps.push({ index: Number(index) })
    else if (single !== undefined || double !== undefined) steps.push({ name: single ?? double ?? "" })
    else if (field !== undefined) steps.push({ field: field.split("."), equals: value ?? other ?? "" })
    else if (whole === "[*]") steps.push({ every: true })
  }
  return steps
}

export const readJsonPath = (value: Json, steps: ReadonlyArray<Step>): ReadonlyArray<Json> => {
  let found: ReadonlyArray<Json> = [value]
  for (const step of steps) {
    found = found.flatMap((item): ReadonlyArray<Json> => {
      if ("name" in step) return isObject(item) && Object.hasOwn(item, step.name) ? [item[step.name] ?? null] : []
      if (!isList(item)) return "every" in step && isObject(item) ? Object.values(item) : []
      if ("index" in step) return item.slice(step.index).slice(0, 1)
      if ("every" in step) return item
      return item.filter((entry) => {
        let inner: Json | undefined = entry
        for (const key of step.field) inner = isObject(inner) ? inner[key] : undefined
        return inner !== undefined && String(inner) === step.equals
      })
    })
  }
  return found
}
