/** Milliseconds to the next try: capped exponential, the upper half at random, for ever. */
import { Effect, Random } from "effect"

export const retryDelay = (
  { first, most }: { readonly first: number; readonly most: number },
  failures: number
): Effect.Effect<number> =>
  Effect.map(
    Random.next,
    (chance) => Math.round(Math.min(most, first * 2 ** Math.min(failures, 20)) * (0.5 + chance / 2))
  )
