/** Asks a device again and again for what it holds, or how it is, where its EdgeDevice wants that: never all devices of a fleet at once. */
import { Duration, Effect, Random, Stream, SubscriptionRef } from "effect"
import type { DeviceContext } from "./DeviceContext.ts"

/** As a part of the interval, either way. */
const jitter = 0.2

/** Runs for as long as a session lasts; an edited interval counts at once. A failed exchange is left to the next. */
export const forcedSync = <E extends { readonly message: string }>(
  context: DeviceContext,
  of: "node" | "pod",
  sync: Effect.Effect<void, E>
): Effect.Effect<void> =>
  SubscriptionRef.changes(context.device).pipe(
    Stream.map(({ spec }) => Duration.toMillis(spec[of].timers.forceSyncInterval)),
    Stream.changes,
    Stream.switchMap((interval) =>
      interval === 0 ? Stream.empty : Stream.fromEffect(Effect.forever(Effect.gen(function*() {
        yield* Effect.sleep(interval * (1 - jitter + 2 * jitter * (yield* Random.next)))
        yield* Effect.catch(sync, (error) => Effect.logDebug(`forced sync of ${context.key}, ${of}: ${error.message}`))
      })))
    ),
    Stream.runDrain
  )
