/** `spec.connectivity.backoff`: how long the operator waits before it dials the device's broker again. */
import { Duration, Effect, Schema, SchemaGetter } from "effect"
import { formatGoDuration, goDuration } from "./goDuration.ts"

const least = Duration.millis(100)
const most = Duration.hours(1)
const factors = { least: 1, most: 10 }

export const BrokerBackoff = Schema.Struct({
  initialDelay: goDuration({
    description: "Longest wait after the first failure, 100ms to 1h; each wait is drawn at random from zero on.",
    default: "1s"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed("1s"))),
  maxDelay: goDuration({
    description: "Where the longest wait stops to grow, 100ms to 1h and not below initialDelay.",
    default: "30s"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed("30s"))),
  // A text since 2021: numbers with a fraction had no place in resources then.
  factor: Schema.String.check(
    Schema.isPattern(/^[0-9]{1,3}(?:\.[0-9]{1,6})?$/u, { expected: "a number in quotes, such as \"1.5\"" })
  ).annotate({
    description: "By what the longest wait grows with each failure, 1 to 10, as a text.",
    default: "1.5"
  }).pipe(
    Schema.decodeTo(Schema.Number, {
      decode: SchemaGetter.transform((text: string) => Number(text)),
      encode: SchemaGetter.transform((factor: number) => String(factor))
    }),
    Schema.withDecodingDefaultKey(Effect.succeed("1.5"))
  )
}).annotate({
  description:
    "How the operator comes back to the broker of the section mqtt. Of EdgeDevices that share a connection there the "
    + "eldest that has this section counts. Over gRPC the device dials, and this has no effect."
})
export type BrokerBackoff = typeof BrokerBackoff.Type

const at = (field: string) => `spec.connectivity.backoff.${field}`

/** What the schema cannot say, one sentence per field. */
export const backoffProblems = (
  { factor, initialDelay, maxDelay }: BrokerBackoff
): ReadonlyArray<{ readonly path: string; readonly sentence: string }> => {
  const problems: Array<{ readonly path: string; readonly sentence: string }> = []
  const wrong = (field: string, sentence: string) =>
    problems.push({ path: at(field), sentence: `${at(field)} ${sentence}` })
  for (const [field, delay] of Object.entries({ initialDelay, maxDelay })) {
    if (!Duration.between(delay, { minimum: least, maximum: most })) {
      wrong(field, `must be from ${formatGoDuration(least)} to ${formatGoDuration(most)}.`)
    }
  }
  if (Duration.isGreaterThan(initialDelay, maxDelay)) {
    wrong("maxDelay", `(${formatGoDuration(maxDelay)}) is shorter than initialDelay: raise it too.`)
  }
  if (factor < factors.least || factor > factors.most) {
    wrong("factor", `must be from "${factors.least}" to "${factors.most}".`)
  }
  return problems
}

/** Where there is no broker to come back to. */
export const needlessBackoff =
  "spec.connectivity.backoff has no effect without spec.connectivity.mqtt: over gRPC the device dials, so set "
  + "connectivity.initialBackoff, maxBackoff and backoffFactor in arhat's configuration."
