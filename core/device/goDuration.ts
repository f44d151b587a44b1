/** Durations as Kubernetes users write them: Go's notation, `1h30m`, `500ms`, `0`. */
import { Duration, Effect, Option, Schema, SchemaGetter, SchemaIssue } from "effect"

const nanos: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n
}

// Put together from text: a bundler keeps a pattern as it is written, and one letter beyond Latin-1 in a file doubles it in memory.
const unit = Object.keys(nanos).join("|")
const whole = new RegExp(`^(?:0|(?:[0-9]+(?:\\.[0-9]+)?(?:${unit}))+)$`, "u")
const part = new RegExp(`([0-9]+)(?:\\.([0-9]+))?(${unit})`, "gu")
/** Go holds a duration in an int64 of nanoseconds (292 years). */
const most = 9_223_372_036_854_775_807n

/** Undefined for anything that is not a Go duration, and for negative ones: no field of ours has a use for them. */
export const parseGoDuration = (text: string): Duration.Duration | undefined => {
  if (text.length > 64 || !whole.test(text)) return undefined
  let total = 0n
  for (const [, integer, fraction, unit] of text.matchAll(part)) {
    const size = nanos[unit ?? ""] ?? 0n
    total += BigInt(integer ?? "0") * size
    if (fraction !== undefined) total += BigInt(fraction) * size / 10n ** BigInt(fraction.length)
  }
  return total > most ? undefined : Duration.nanos(total)
}

/** The shortest notation that means the same: `1h30m0s` is written `1h30m`. */
export const formatGoDuration = (duration: Duration.Duration): string => {
  let rest = Option.getOrElse(Duration.toNanos(duration), () => most)
  if (rest === 0n) return "0s"
  let text = ""
  for (const unit of ["h", "m", "s", "ms", "us", "ns"]) {
    const size = nanos[unit] ?? 1n
    if (rest >= size) text += `${rest / size}${unit}`
    rest %= size
  }
  return text
}

/** A Go duration text that decodes to an Effect Duration. */
export const goDuration = (annotations: { readonly description: string; readonly default?: string }) =>
  Schema.String.check(
    Schema.isPattern(whole, { expected: "a duration such as 10s or 1h30m" }),
    Schema.isMaxLength(64)
  ).annotate(annotations).pipe(
    Schema.decodeTo(Schema.Duration, {
      decode: SchemaGetter.transformEffect((text: string) => {
        const duration = parseGoDuration(text)
        return duration === undefined
          ? Effect.fail(new SchemaIssue.InvalidValue({ message: "Expected a duration such as 10s or 1h30m" }))
          : Effect.succeed(duration)
      }),
      encode: SchemaGetter.transform(formatGoDuration)
    })
  )

/** The same within limits, which its error names. */
export const goDurationBetween = (
  least: Duration.Duration,
  most: Duration.Duration,
  annotations: { readonly description: string; readonly default?: string }
) =>
  goDuration(annotations).check(
    Schema.makeFilter((duration) =>
      Duration.between(duration, { minimum: least, maximum: most }) ||
      `Must be from ${formatGoDuration(least)} to ${formatGoDuration(most)}`
    )
  )
