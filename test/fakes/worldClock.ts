/** The test's own time, by which fakes keep their diaries: the hosts for which they stand in may have clocks that are wrong. */
import { Clock, Context, Effect } from "effect"

/** Undefined where nobody's clock is wrong: whoever asks has the test's. */
export const WorldClock = Context.Reference<Clock.Clock | undefined>("test/WorldClock", {
  defaultValue: () => undefined
})

export const worldClock: Effect.Effect<Clock.Clock> = Effect.withFiber((fiber) =>
  Effect.succeed(fiber.getRef(WorldClock) ?? fiber.getRef(Clock.Clock))
)

/** Whole milliseconds since the epoch. */
export const worldMillis: Effect.Effect<number> = Effect.map(worldClock, (clock) => clock.currentTimeMillisUnsafe())
