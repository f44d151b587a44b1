/** Reading and changing plain JSON by dotted path, as the tables of this folder name fields. */

export type Json = { readonly [key: string]: unknown }

export const isJsonObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The value at `spec.node.cert`, undefined when any step is missing. */
export const valueAt = (root: unknown, path: string): unknown => {
  let at: unknown = root
  for (const step of path.split(".")) {
    if (!isJsonObject(at) || !Object.hasOwn(at, step)) return undefined
    at = at[step]
  }
  return at
}

/** A copy with the value set (undefined removes it); objects on the way are made, anything else there is replaced. */
export const withValueAt = (root: Json, path: string, value: unknown): Json => {
  const [step = "", ...rest] = path.split(".")
  if (rest.length === 0) {
    const { [step]: _, ...others } = root
    return value === undefined ? others : { ...others, [step]: value }
  }
  const child = root[step]
  if (value === undefined && !isJsonObject(child)) return root
  return { ...root, [step]: withValueAt(isJsonObject(child) ? child : {}, rest.join("."), value) }
}

/** Whether two JSON values say the same, whatever the order of keys. */
export const sameJson = (a: unknown, b: unknown): boolean => {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((each, at) => sameJson(each, b[at]))
  if (!isJsonObject(a) || !isJsonObject(b)) return a === b
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key]))
}
