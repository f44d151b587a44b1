/** Keys that aranya sets on an object that others edit too: what leaves its wish leaves the object, and nothing else does. */
import type { ObjectMeta } from "./ObjectMeta.ts"

/** JSON: those keys, by what they are keys of. */
export const managedAnnotation = "aranya.arhat.dev/managed"

type Map = Readonly<Record<string, string>>

export const readManaged = ({ annotations }: ObjectMeta, what: string): ReadonlyArray<string> => {
  try {
    const read = JSON.parse(annotations?.[managedAnnotation] ?? "{}")[what]
    return Array.isArray(read) ? read : []
  } catch {
    // Somebody has edited it: what we set stays until the spec names it again.
    return []
  }
}

/** The merge patch from what is there to what is wanted, by what was wanted when it was last written. */
export const mapPatch = (have: Map = {}, want: Map = {}, had: ReadonlyArray<string>) => {
  const patch: Record<string, string | null> = {}
  for (const [key, value] of Object.entries(want)) if (have[key] !== value) patch[key] = value
  for (const key of had) if (!(key in want) && key in have) patch[key] = null
  return patch
}
