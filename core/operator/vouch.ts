/**
 * A device goes on with its workloads while it hears an operator, so none may let itself be heard that does not speak for it:
 * another one may have taken the device, and counts on those workloads to rest before it gives them up. Whoever has lost the API
 * server is told nothing of that, and so hangs up by itself.
 */
import { Duration, Effect, Option } from "effect"
import type { Session } from "../link/Session.ts"
import { monotonicMillis } from "../pod/machine/Workbench.ts"
import type { DeviceHold } from "./DeviceHold.ts"

/** For so long the API server's word is good, in milliseconds. */
const goodFor = 45_000
/** It is asked for anew when it is so old. */
const askedEvery = 15_000
/** A former operator may have been heard so long after its device was taken: what its word is good for, and a handshake. */
export const heardAfterTaken = Duration.minutes(1)

/** Ends the session as soon as nobody vouches for its being with the right operator. `counts`: whether anybody counts on that now. */
export const vouch = Effect.fnUntraced(function*(hold: DeviceHold, session: Session, counts: () => boolean) {
  let vouchedAt = yield* monotonicMillis
  while (true) {
    const now = yield* monotonicMillis
    const epoch = hold.epoch()
    if (!counts()) vouchedAt = now
    else if (epoch !== undefined) {
      const stands = yield* hold.stands(epoch).pipe(
        Effect.option,
        Effect.timeoutOption(Math.max(1, vouchedAt + goodFor - now)),
        Effect.map(Option.flatten)
      )
      if (Option.isSome(stands) && !stands.value) return yield* session.close("another operator has taken this device")
      if (Option.isSome(stands)) vouchedAt = now
    }
    const left = vouchedAt + goodFor - (yield* monotonicMillis)
    if (left <= 0) {
      return yield* session.close("the API server does not say whether this operator still speaks for the device")
    }
    yield* Effect.sleep(Math.min(left, askedEvery))
  }
})
