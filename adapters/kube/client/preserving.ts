/**
 * Reads and writes objects through their schema without losing what the schema does not name: the API has more fields
 * than this version knows, and a read followed by a PUT must not erase them. A Schema alone drops unknown keys.
 */
import { type Exit, Schema } from "effect"
import type { KubeResource } from "../../../core/kube/KubeResource.ts"
import type { KubeObject } from "../../../core/kube/ObjectMeta.ts"

const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/**
 * `known` laid over `whole`: what the schema made wins, what it left out stays. Gives back `whole` itself where the schema
 * changed nothing, which is nearly always, so that reading allocates nothing lasting.
 */
export const overlay = (whole: unknown, known: unknown): unknown => {
  if (whole === known) return whole
  if (Array.isArray(whole) && Array.isArray(known) && whole.length === known.length) {
    let merged: Array<unknown> | undefined
    for (let i = 0; i < known.length; i++) {
      const item = overlay(whole[i], known[i])
      if (item !== whole[i]) (merged ??= whole.slice())[i] = item
    }
    return merged ?? whole
  }
  if (isPlain(whole) && isPlain(known)) {
    let merged: Record<string, unknown> | undefined
    for (const key of Object.keys(known)) {
      const value = Object.hasOwn(whole, key) ? overlay(whole[key], known[key]) : known[key]
      if (!Object.hasOwn(whole, key) || value !== whole[key]) {
        merged ??= { ...whole }
        // `__proto__` as an own key of hostile JSON must stay a key.
        Object.defineProperty(merged, key, { value, enumerable: true, configurable: true, writable: true })
      }
    }
    return merged ?? whole
  }
  return known
}

const decoders = new WeakMap<object, (raw: unknown) => Exit.Exit<unknown, Schema.SchemaError>>()
const encoders = new WeakMap<object, (value: unknown) => Exit.Exit<unknown, Schema.SchemaError>>()

/** The object as core works on it, or the schema's own words about what is wrong with it. */
export const decode = <A extends KubeObject>(
  resource: KubeResource<A>,
  raw: unknown
): { readonly object: A } | { readonly problem: string } => {
  let decoder = decoders.get(resource.schema)
  if (decoder === undefined) {
    decoder = Schema.decodeUnknownExit(resource.schema)
    decoders.set(resource.schema, decoder)
  }
  const exit = decoder(raw)
  return exit._tag === "Success" ? { object: overlay(raw, exit.value) as A } : { problem: words(exit) }
}

/** The JSON value to send. */
export const encode = <A extends KubeObject>(
  resource: KubeResource<A>,
  object: A
): { readonly json: unknown } | { readonly problem: string } => {
  let encoder = encoders.get(resource.schema)
  if (encoder === undefined) {
    encoder = Schema.encodeUnknownExit(resource.schema)
    encoders.set(resource.schema, encoder)
  }
  const exit = encoder(object)
  return exit._tag === "Success" ? { json: overlay(object, exit.value) } : { problem: words(exit) }
}

/** A schema error may quote values, and this may be a Secret: only the lines that say where are kept. */
const words = (exit: Exit.Failure<unknown, Schema.SchemaError>): string => {
  for (const reason of exit.cause.reasons) {
    if (reason._tag === "Fail") {
      const places = reason.error.message.split("\n").map((line) => line.trim()).filter((line) =>
        line.startsWith("at ")
      )
      return places.length > 0
        ? `it does not fit its schema ${places.join(", ").slice(0, 512)}`
        : "it does not fit its schema"
    }
  }
  return "its schema could not be applied"
}
