/**
 * A device goes on with its workloads while it hears an operator, so none may let itself be heard that does not speak for it:
 * another one may have taken the device, and counts on those workloads to rest before it gives them up. Whoever has lost the API
 * server is told nothing of that, and so hangs up by itself.
 */
import { Duration, Effect, Option, Random } from "effect"
import type { Session } from "../link/Session.ts"
import { monotonicMillis } from "../pod/machine/Workbench.ts"
import type { DeviceHold } from "./DeviceHold.ts"

/** For so long the API server's word is good, in milliseconds. */
const goodFor = 45_000
/** It is asked for anew when it is so old, at most; devices that came together are not asked about together. */
const askedEvery = 15_000
const jitter = 0.3
/** One of several API servers may be silent: another try may meet another one. */
const answersWithin = 10_000
const askedAgain = 5_000
/** A former operator may have been heard so long after its device was taken: what its word is good for, and a handshake. */
export const heardAfterTaken = Duration.minutes(1)
/** A device that was hung up on dials again within this, if it is there: its longest back-off, and a dial. */
export const dialsWithin = Duration.minutes(6)

/** Ends the session as soon as nobody vouches for its being with the right operator. */
export const vouch = Effect.fnUntraced(function*(hold: DeviceHold, session: Session, options: {
  /** Whether anybody counts on that now. */
  readonly counts: () => boolean
  /** It is about to be ended, and by nothing that the device did. */
  readonly hangsUp: () => void
}) {
  let vouchedAt = yield* monotonicMillis
  while (true) {
    const now = yield* monotonicMillis
    const epoch = hold.epoch()
    if (!options.counts()) vouchedAt = now
    else if (epoch !== undefined) {
      const stands = yield* hold.stands(epoch).pipe(
        Effect.option,
        Effect.timeoutOption(Math.max(1, Math.min(answersWithin, vouchedAt + goodFor - now))),
        Effect.map(Option.flatten)
      )
      if (Option.isSome(stands) && !stands.value) return yield* session.close("another operator has taken this device")
      if (Option.isSome(stands)) vouchedAt = now
    }
    const left = vouchedAt + goodFor - (yield* monotonicMillis)
    if (left <= 0) {
      options.hangsUp()
      return yield* session.close("the API server does not say whether this operator still speaks for the device")
    }
    const pause = vouchedAt === now ? askedEvery * (1 - jitter * (yield* Random.next)) : askedAgain
    yield* Effect.sleep(Math.min(left, pause))
  }
})
