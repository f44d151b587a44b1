/** What watches do not tell, or no more. */
import { Effect } from "effect"
import { whileFrozen } from "./ApiWeather.ts"
import { type Episodes, lasting } from "./Episode.ts"

export const watches = {
  watchesFrozen: Effect.fnUntraced(function*({ apis, dice }) {
    const some = dice.chance() < 0.5 ? apis : [dice.pick(apis)]
    yield* some.reduce((meanwhile, api) => whileFrozen(api, true, meanwhile), lasting(dice, 1_000, 40_000))
  }),
  // Watches end, as they do from time to time, and the versions from which they would go on are forgotten.
  compacted: Effect.fnUntraced(function*({ apis, compact }) {
    yield* compact
    for (const api of apis) yield* api.endOpen("in order")
  })
} as const satisfies Episodes
