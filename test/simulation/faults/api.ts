/** What the API server does wrong. */
import { Effect } from "effect"
import { type ApiMood, inMood } from "./ApiWeather.ts"
import type { Dice } from "./Dice.ts"
import { type Episode, type Episodes, lasting } from "./Episode.ts"

const mood = (
  which: ApiMood["mood"],
  chance: (dice: Dice) => number,
  [least, most]: readonly [least: number, most: number] = [2_000, 60_000]
): Episode =>
  Effect.fnUntraced(function*({ apis, dice }) {
    const rate = chance(dice)
    const some = dice.chance() < 0.5 ? apis : [dice.pick(apis)]
    const endOpen = which === "cut" || which === "any" || which === "away"
      ? Effect.forEach(some, (api) => api.endOpen("broken"), { discard: true })
      : Effect.void
    yield* some.reduce(
      (meanwhile, api) => inMood(api, { mood: which, chance: rate }, meanwhile),
      Effect.andThen(endOpen, lasting(dice, least, most))
    )
  })

export const api = {
  badApi: mood("any", ({ chance }) => chance() * 0.6),
  // Operators live on, and their devices with them.
  apiAway: mood("away", () => 1, [5_000, 10 * 60_000]),
  slowApi: mood("slow", () => 1),
  staleReads: mood("stale", () => 1),
  watchesCut: mood("cut", () => 1)
} as const satisfies Episodes
