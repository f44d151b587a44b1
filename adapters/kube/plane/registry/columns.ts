/** Columns many resources share, and the cells they are made of. */
import { humanDuration } from "../object/duration.ts"
import { type Json, type JsonObject, objectAt, stringAt } from "../object/json.ts"
import { type KubeObject, nameOf } from "../object/KubeObject.ts"
import { parseTimestamp } from "../object/Moment.ts"
import type { Column } from "./ResourceType.ts"

export const ago = (text: string | undefined, now: number): string => {
  const then = parseTimestamp(text)
  return then === undefined ? "<unknown>" : humanDuration(now - then)
}

export const nameColumn: Column = { name: "Name", type: "string", format: "name", cell: nameOf }

export const ageColumn: Column = {
  name: "Age",
  type: "string",
  cell: (object, now) => ago(stringAt(object, "metadata", "creationTimestamp"), now)
}

export const column = (
  name: string,
  cell: (object: KubeObject, now: number) => Json,
  more: Partial<Column> = {}
): Column => ({
  name,
  type: "string",
  cell,
  ...more
})

export const wide = { priority: 1 } as const

export const plainColumns: ReadonlyArray<Column> = [
  nameColumn,
  { name: "Created At", type: "date", cell: (object) => stringAt(object, "metadata", "creationTimestamp") ?? "" }
]

/** `a=b,c=d`, or `<none>`. */
export const labelsText = (labels: JsonObject): string => {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${String(value)}`)
  return pairs.length === 0 ? "<none>" : pairs.join(",")
}

export const selectorText = (object: KubeObject): string => {
  const selector = objectAt(object, "spec", "selector")
  return labelsText(objectAt(selector, "matchLabels"))
}

export const orNone = (text: string | undefined): string => text === undefined || text === "" ? "<none>" : text
