/** What befalls one of a device's ways to its operators, while it has another. */
import { Effect } from "effect"
import type { TransportError } from "../../../core/link/Transport.ts"
import type { Way } from "../ways.ts"
import type { SimulatedDevice } from "../World.ts"
import type { Dice } from "./Dice.ts"
import { type Episode, type Episodes, lasting, type Victims } from "./Episode.ts"
import { overlapping } from "./overlapping.ts"

const withTwo =
  (work: (victims: Victims, device: SimulatedDevice) => ReturnType<Episode>): Episode => (victims, device) => {
    const fit = victims.devices.filter(({ reach }) => reach.ways.length > 1)
    if (fit.length === 0) return Effect.succeed("missed" as const)
    return work(victims, fit.includes(device) ? device : victims.dice.pick(fit))
  }

const deaths = overlapping<Way, TransportError["reason"] | "Dark">((way, going) =>
  Effect.andThen(
    way.darken(going.includes("Dark")),
    way.refuse(going.findLast((how): how is TransportError["reason"] => how !== "Dark"))
  )
)

const whileDead = <A>(way: Way, dice: Dice, meanwhile: Effect.Effect<A>) => {
  if (dice.chance() < 0.4) return deaths(way, "Dark", meanwhile)
  // Only a person can help where a credential is rejected: that way is set aside.
  return deaths(way, dice.chance() < 0.8 ? "Refused" : "Rejected", Effect.andThen(way.cut, meanwhile))
}

export const ways = {
  betterWayDies: withTwo(Effect.fnUntraced(function*({ dice }, { reach }) {
    yield* whileDead(reach.ways[0]!, dice, lasting(dice, 2_000, 60_000))
  })),
  lesserWayDies: withTwo(Effect.fnUntraced(function*({ dice }, { reach }) {
    yield* whileDead(reach.ways[1]!, dice, lasting(dice, 2_000, 90_000))
  })),
  waysTakeTurns: withTwo(Effect.fnUntraced(function*({ dice }, { reach }) {
    for (let times = dice.between(2, 6); times > 0; times--) {
      yield* whileDead(reach.ways[times % 2]!, dice, lasting(dice, 1_000, 40_000))
      if (dice.chance() < 0.5) yield* lasting(dice, 0, 10_000)
    }
  }))
} as const satisfies Episodes
