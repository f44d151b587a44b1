/** Forgets Events an hour after they were last written, as the API server's own time-to-live does. */
import { Effect } from "effect"
import { stringAt } from "../object/json.ts"
import { moment, parseTimestamp } from "../object/Moment.ts"
import { discard } from "./acting.ts"
import { controller } from "./controller.ts"

const lifetimeMillis = 3_600_000

export const eventExpiry = controller({
  name: "event-expiry",
  watches: [],
  tick: { every: "1 minute", key: "" },
  reconcile: Effect.fnUntraced(function*(world) {
    const { now } = yield* moment
    for (const { object } of [...world.store.objects("events")]) {
      const last = stringAt(object, "lastTimestamp") ?? stringAt(object, "eventTime") ??
        stringAt(object, "metadata", "creationTimestamp")
      if (now - (parseTimestamp(last) ?? now) > lifetimeMillis) yield* discard(world, "events", object)
    }
  })
})
