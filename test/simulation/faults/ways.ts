/** What befalls one of a device's ways to its operators, while it has another. */
import { Effect } from "effect"
import type { Way } from "../ways.ts"
import type { SimulatedDevice } from "../World.ts"
import type { Dice } from "./Dice.ts"
import { type Episode, type Episodes, lasting, type Victims } from "./Episode.ts"

const withTwo =
  (work: (victims: Victims, device: SimulatedDevice) => ReturnType<Episode>): Episode => (victims, device) => {
    const fit = victims.devices.filter(({ reach }) => reach.ways.length > 1)
    if (fit.length === 0) return Effect.succeed("missed" as const)
    return work(victims, fit.includes(device) ? device : victims.dice.pick(fit))
  }

const kill = Effect.fnUntraced(function*(way: Way, dice: Dice) {
  if (dice.chance() < 0.4) return yield* way.darken(true)
  // Only a person can help where a credential is rejected: that way is set aside.
  yield* way.refuse(dice.chance() < 0.8 ? "Refused" : "Rejected")
  yield* way.cut
})

const revive = (way: Way) => Effect.andThen(way.darken(false), way.refuse(undefined))

export const ways = {
  betterWayDies: withTwo(Effect.fnUntraced(function*({ dice }, { reach }) {
    const way = reach.ways[0]!
    yield* kill(way, dice)
    yield* lasting(dice, 2_000, 60_000)
    yield* revive(way)
  })),
  lesserWayDies: withTwo(Effect.fnUntraced(function*({ dice }, { reach }) {
    const way = reach.ways[1]!
    yield* kill(way, dice)
    yield* lasting(dice, 2_000, 90_000)
    yield* revive(way)
  })),
  waysTakeTurns: withTwo(Effect.fnUntraced(function*({ dice }, { reach }) {
    for (let times = dice.between(2, 6); times > 0; times--) {
      const way = reach.ways[times % 2]!
      yield* kill(way, dice)
      yield* lasting(dice, 1_000, 40_000)
      yield* revive(way)
      if (dice.chance() < 0.5) yield* lasting(dice, 0, 10_000)
    }
  }))
} as const satisfies Episodes
