/** Somebody with the operator's key. */
import { Effect, Fiber } from "effect"
import { type Episodes, lasting } from "./Episode.ts"

export const impostor = {
  ghost: Effect.fnUntraced(function*({ dice, ghost }, device) {
    const haunted = yield* Effect.forkChild(ghost(device), { startImmediately: true })
    yield* device.transport.cut()
    yield* lasting(dice, 5_000, 60_000)
    yield* Fiber.interrupt(haunted)
  })
} as const satisfies Episodes
