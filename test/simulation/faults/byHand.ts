/** What somebody does by hand to containers that are not his. */
import { Effect } from "effect"
import type { Episodes } from "./Episode.ts"

export const byHand = {
  // Somebody clears up by hand what is not his.
  pruned: Effect.fnUntraced(function*({ dice }, { runtime }) {
    let victims = 0
    yield* runtime.prune(() => {
      const chosen = dice.chance() < 0.4
      if (chosen) victims += 1
      return chosen
    })
    return victims === 0 ? "missed" : undefined
  }),
  brokenSandbox: Effect.fnUntraced(function*({ dice }, { engine, runtime }) {
    const running = yield* Effect.option(engine.sandboxes())
    if (running._tag === "None" || running.value.length === 0) return "missed"
    return yield* runtime.breakSandbox(dice.pick(running.value).uid)
  })
} as const satisfies Episodes
