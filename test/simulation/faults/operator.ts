/** How an operator dies, and what it comes back with. */
import { Deferred, Effect } from "effect"
import type { Program } from "../World.ts"
import { inMood, whileFrozen } from "./ApiWeather.ts"
import { type Episodes, lasting, sprung } from "./Episode.ts"
import { killOperator } from "./killOperator.ts"

export const operator = {
  operatorDies: Effect.fnUntraced(function*(victims) {
    const { dice, operators } = victims
    const operator = dice.pick(operators)
    yield* killOperator(victims, operator)
    yield* lasting(dice, 0, 90_000)
    yield* operator.start
  }),
  // The one that made the request, whichever that was.
  operatorDiesAtRequest: Effect.fnUntraced(function*(victims) {
    const { apis, dice, operators } = victims
    const reached = Deferred.makeUnsafe<void>()
    const trap = { left: dice.between(1, 30) }
    let victim: Program | undefined
    for (const [i, api] of apis.entries()) {
      api.trap = {
        count: trap,
        spring: () => {
          victim = operators[i]
          Deferred.doneUnsafe(reached, Effect.void)
        }
      }
    }
    const met = yield* sprung(reached)
    // No process ends in the middle of a function call of its own: `Effect.forEach` starts items that were never asked for then.
    yield* Effect.yieldNow
    for (const api of apis) if (api.trap?.count === trap) api.trap = undefined
    if (!met || victim === undefined) return "missed"
    yield* killOperator(victims, victim)
    yield* lasting(dice, 0, 30_000)
    return yield* victim.start
  }),
  // It begins with lists from before it died, and hears only later what has changed.
  operatorComesBackBehind: Effect.fnUntraced(function*(victims) {
    const { apis, dice, operators, version } = victims
    const chosen = dice.between(0, operators.length)
    const operator = operators[chosen]!
    const api = apis[chosen]!
    const asOf = version()
    yield* lasting(dice, 2_000, 30_000)
    yield* killOperator(victims, operator)
    yield* lasting(dice, 0, 10_000)
    const life = Effect.andThen(operator.start, lasting(dice, 3_000, 40_000))
    yield* inMood(api, { mood: "stale", asOf, chance: 1 }, whileFrozen(api, true, life))
  })
} as const satisfies Episodes
