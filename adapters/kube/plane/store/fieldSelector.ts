/** Field selectors: `a=b,c!=d` over the fields a resource type declares selectable. */
import { Result } from "effect"
import { type ApiFailure, badRequest } from "../object/ApiFailure.ts"
import { type KubeObject, nameOf, namespaceOf } from "../object/KubeObject.ts"

export type FieldReader = (object: KubeObject) => string

export interface FieldSelector {
  readonly matches: (object: KubeObject) => boolean
  /** Fields that must equal one value: what an index can answer. */
  readonly equals: ReadonlyMap<string, string>
}

export const everyField: FieldSelector = { matches: () => true, equals: new Map() }

const generic: Readonly<Record<string, FieldReader>> = {
  "metadata.name": nameOf,
  "metadata.namespace": namespaceOf
}

/** `a=b`, `a==b` or `a!=b`. */
const TERM = /^([^=!\\]+?)(!=|==|=)((?:\\.|[^\\])*)$/

/** Splits at unescaped commas; a backslash escapes comma, equals sign and itself. */
const terms = (text: string): ReadonlyArray<string> => text.match(/(?:\\.|[^,\\])+/g) ?? []
const unescape = (text: string) => text.replace(/\\(.)/g, "$1")

export const parseFieldSelector = (
  text: string,
  fields: Readonly<Record<string, FieldReader>>
): Result.Result<FieldSelector, ApiFailure> => {
  const tests: Array<(object: KubeObject) => boolean> = []
  const equals = new Map<string, string>()
  for (const term of terms(text)) {
    const parts = TERM.exec(term.trim())
    if (parts?.[1] === undefined) return Result.fail(badRequest(`invalid field selector: ${term.slice(0, 100)}`))
    const field = parts[1]
    const value = unescape(parts[3] ?? "")
    const read = Object.hasOwn(fields, field)
      ? fields[field]
      : Object.hasOwn(generic, field)
      ? generic[field]
      : undefined
    if (read === undefined) return Result.fail(badRequest(`field label not supported: ${field.slice(0, 100)}`))
    if (parts[2] === "!=") tests.push((object) => read(object) !== value)
    else {
      equals.set(field, value)
      tests.push((object) => read(object) === value)
    }
  }
  return Result.succeed({ matches: (object) => tests.every((test) => test(object)), equals })
}

/** The one object a selector can find, whatever else it asks: a right to that name is right enough. Empty where there is none. */
export const nameSelected = (text: string): string => {
  for (const term of terms(text)) {
    const [, field, sign, value = ""] = TERM.exec(term.trim()) ?? []
    if (field === "metadata.name" && sign !== "!=") return unescape(value)
  }
  return ""
}
