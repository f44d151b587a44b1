/** How an operator's process goes away. */
import { Effect } from "effect"
import type { Program } from "../World.ts"
import { inMood } from "./ApiWeather.ts"
import type { Victims } from "./Episode.ts"
import { inTheDark } from "./linkWeather.ts"

/** One that is killed says no goodbye half of the time: what its finalizers tell the API, a device or a broker is not heard. */
export const killOperator = Effect.fnUntraced(
  function*({ apis, brokers, count, devices, dice, operators }: Victims, operator: Program) {
    if (dice.chance() < 0.5) return yield* operator.kill
    count("operator: dies without a word")
    const host = operators.indexOf(operator)
    yield* brokers?.hosts()[host]?.cut() ?? Effect.void
    const unheard = devices.reduce(
      (dying, { transport }) => inTheDark(transport, dying),
      Effect.andThen(apis[host]!.endOpen("broken"), operator.kill)
    )
    yield* inMood(apis[host]!, { mood: "away", chance: 1 }, unheard)
  }
)
