/** What the API server does wrong. */
import { Effect } from "effect"
import type { ApiWeather } from "./ApiWeather.ts"
import type { Dice } from "./Dice.ts"
import { type Episode, type Episodes, lasting } from "./Episode.ts"

const mood = (which: ApiWeather["mood"], chance: (dice: Dice) => number): Episode =>
  Effect.fnUntraced(function*({ apis, dice }) {
    const rate = chance(dice)
    const some = dice.chance() < 0.5 ? apis : [dice.pick(apis)]
    for (const api of some) {
      api.mood = which
      api.chance = rate
      if (which === "cut" || which === "any") yield* api.endOpen("broken")
    }
    yield* lasting(dice, 2_000, 60_000)
    for (const api of some) api.chance = 0
  })

export const api = {
  badApi: mood("any", ({ chance }) => chance() * 0.6),
  slowApi: mood("slow", () => 1),
  staleReads: mood("stale", () => 1),
  watchesCut: mood("cut", () => 1)
} as const satisfies Episodes
