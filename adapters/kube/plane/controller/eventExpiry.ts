/** Forgets Events an hour after they were last written, as the API server's own time-to-live does. */
import { Effect } from "effect"
import { stringAt } from "../object/json.ts"
import { moment, parseTimestamp } from "../object/Moment.ts"
import { discard } from "./acting.ts"
import { controller } from "./controller.ts"

const lifetimeMillis = 3_600_000
const leastMillis = 60_000

export const eventExpiry = controller({
  name: "event-expiry",
  watches: [],
  tick: { every: "1 minute", key: "" },
  reconcile: Effect.fnUntraced(function*(world) {
    const { now } = yield* moment
    let oldest = now
    for (const { object } of [...world.store.objects("events")]) {
      const last = parseTimestamp(
        stringAt(object, "lastTimestamp") ?? stringAt(object, "eventTime") ??
          stringAt(object, "metadata", "creationTimestamp")
      ) ?? now
      if (now - last > lifetimeMillis) yield* discard(world, "events", object)
      else oldest = Math.min(oldest, last)
    }
    // What is written from now on lives longer than the oldest of now.
    return { after: Math.max(leastMillis, oldest + lifetimeMillis - now) }
  })
})
