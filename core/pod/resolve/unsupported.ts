/** Finds what a pod asks for and a device does not offer. */
import { ephemeralContainerFields, type Fields, podSpecFields } from "./podFields.ts"
import type { RefusedReason } from "./Resolution.ts"

export interface Unsupported {
  /** Such as `spec.containers[0].livenessProbe`. */
  readonly path: string
  readonly reason: RefusedReason
  /** One sentence: the path, that it is not offered, and the remedy. */
  readonly sentence: string
}

/** A field that says nothing: the API serves some empty ones. */
const empty = (value: unknown): boolean =>
  value === undefined || value === null || value === "" || value === false
  || (Array.isArray(value) && value.length === 0)
  || (isObject(value) && Object.keys(value).length === 0)

const isObject = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const walk = (value: unknown, fields: Fields, path: string, found: Array<Unsupported>): void => {
  if (!isObject(value)) return
  for (const [name, inner] of Object.entries(value)) {
    const at = `${path}.${name}`
    const treatment = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (treatment === undefined) {
      if (!empty(inner)) {
        found.push({
          path: at,
          reason: "PodFeatureUnsupported",
          sentence: `${at} is not known to this version of aranya: remove it.`
        })
      }
      continue
    }
    if (treatment.kind === "refused") {
      // `false` asks for something where the default is true.
      const silent = treatment.unless === undefined
        ? empty(inner)
        : treatment.unless(inner) || (inner !== false && empty(inner))
      if (!silent) {
        found.push({
          path: at,
          reason: treatment.reason ?? "PodFeatureUnsupported",
          sentence: `${at} is not supported on edge devices: ${treatment.remedy}.`
        })
      }
      continue
    }
    if (treatment.inner !== undefined) walk(inner, treatment.inner, at, found)
    if (treatment.each !== undefined && Array.isArray(inner)) {
      inner.forEach((each, index) => walk(each, treatment.each ?? {}, `${at}[${index}]`, found))
    }
  }
}

/** In the order of the object; empty when a device can run the pod. Takes the raw spec, with the fields no schema of ours names. */
export const unsupportedFields = (spec: unknown): ReadonlyArray<Unsupported> => {
  const found: Array<Unsupported> = []
  walk(spec, podSpecFields, "spec", found)
  return found
}

/** The same of one ephemeral container, which stands at `path`. */
export const unsupportedInEphemeral = (container: unknown, path: string): ReadonlyArray<Unsupported> => {
  const found: Array<Unsupported> = []
  walk(container, ephemeralContainerFields, path, found)
  return found
}
