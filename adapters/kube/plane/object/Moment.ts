/** One reading of time and chance, taken before a synchronous change of the store. */
import { Clock, DateTime, Effect, Option, Random } from "effect"

export interface Moment {
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Uniform in [0, 1). */
  readonly random: () => number
}

export const moment: Effect.Effect<Moment> = Effect.withFiber((fiber) =>
  Effect.succeed({
    now: fiber.getRef(Clock.Clock).currentTimeMillisUnsafe(),
    random: fiber.getRef(Random.Random).nextDoubleUnsafe
  })
)

export { microTimestamp, timestamp } from "../../../../core/kube/time.ts"

/** Milliseconds of an RFC 3339 text, or undefined if it is none. */
export const parseTimestamp = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : Option.getOrUndefined(Option.map(DateTime.make(text), DateTime.toEpochMillis))

const digits = "0123456789abcdef"

/** A version 4 UUID (RFC 9562) drawn from the moment. */
export const uuid = ({ random }: Moment): string => {
  let text = ""
  for (let i = 0; i < 36; i++) {
    if (i === 8 || i === 13 || i === 18 || i === 23) text += "-"
    else if (i === 14) text += "4"
    else if (i === 19) text += digits[8 + Math.floor(random() * 4)]
    else text += digits[Math.floor(random() * 16)]
  }
  return text
}

/** Kubernetes' alphabet for generated names: no vowels and no digits that look like them. */
const suffixAlphabet = "bcdfghjklmnpqrstvwxz2456789"

export const suffix = ({ random }: Moment, length = 5): string => {
  let text = ""
  for (let i = 0; i < length; i++) text += suffixAlphabet[Math.floor(random() * suffixAlphabet.length)]
  return text
}
