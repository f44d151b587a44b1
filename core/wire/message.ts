/** From protobuf messages to bytes and back with typed errors; below it the conversions that every message shares. */
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf"
import { Effect } from "effect"
import { limits } from "./limits.ts"
import { WireError } from "./WireError.ts"

/** Inside a codec a `WireError` is thrown; it never leaves `encoding` and `decoding`. */
export const reject = (reason: WireError["reason"], detail: string): never => {
  throw new WireError({ reason, subject: "", detail })
}

const named = (subject: string, reason: WireError["reason"]) => (cause: unknown): WireError =>
  cause instanceof WireError
    ? new WireError({ reason: cause.reason, subject, detail: cause.detail })
    : new WireError({ reason, subject, detail: cause instanceof Error ? cause.message : "not a message" })

/** Writes a domain value: `message` maps it. Fails for values that do not fit the message, and beyond `limit` bytes. */
export const encoding = <Desc extends DescMessage, A>(
  desc: Desc,
  options: { readonly subject: string; readonly limit: number; readonly message: (value: A) => MessageShape<Desc> }
) =>
(value: A): Effect.Effect<Uint8Array, WireError> =>
  Effect.try({
    try: () => {
      const bytes = toBinary(desc, options.message(value))
      if (bytes.length > options.limit) {
        reject("TooLarge", `${bytes.length} bytes, at most ${options.limit} are allowed`)
      }
      return bytes
    },
    catch: named(options.subject, "Invalid")
  })

/** Reads a domain value: `value` maps the message. Unknown fields are dropped; any bytes end in a value or a `WireError`. */
export const decoding = <Desc extends DescMessage, A>(
  desc: Desc,
  options: { readonly subject: string; readonly limit: number; readonly value: (message: MessageShape<Desc>) => A }
) =>
(bytes: Uint8Array): Effect.Effect<A, WireError> =>
  Effect.try({
    try: () => {
      if (bytes.length > options.limit) {
        reject("TooLarge", `${bytes.length} bytes, at most ${options.limit} are allowed`)
      }
      return options.value(fromBinary(desc, bytes, { readUnknownFields: false }))
    },
    catch: named(options.subject, "Malformed")
  })

/** A whole number as protobuf's 64 bits. */
export const long = (value: number): bigint =>
  Number.isSafeInteger(value) ? BigInt(value) : reject("Invalid", `${value} is not a whole number`)

/** Absent stays absent. */
export const optionalLong = (value: number | undefined): bigint | undefined =>
  value === undefined ? undefined : long(value)

export const number = (value: bigint): number => {
  const plain = Number(value)
  return Number.isSafeInteger(plain) ? plain : reject("Invalid", `${value} is beyond 2^53`)
}

/** Zero and above: counts, sizes, seconds, times. */
export const count = (value: bigint): number => {
  const plain = number(value)
  return plain >= 0 ? plain : reject("Invalid", `${value} is negative`)
}

export const port = (value: number): number => value <= 65_535 ? value : reject("Invalid", `${value} is no port`)

/** A list no longer than `most`. */
export const bounded = <A>(list: ReadonlyArray<A>, most: number = limits.entries): ReadonlyArray<A> =>
  list.length <= most ? list : reject("TooLarge", `a list of ${list.length}, at most ${most} are allowed`)

/** `{ key: value }` unless the value is absent, for optional keys. */
export const present = <K extends string, A>(key: K, value: A | undefined): { readonly [P in K]?: A } =>
  (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: A }

/** Entries sorted by key (by UTF-16 code unit), so that equal maps have equal bytes. */
export const sortedEntries = (map: Readonly<Record<string, string>>): ReadonlyArray<readonly [string, string]> =>
  Object.entries(map).sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0)
