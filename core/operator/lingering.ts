/** Owners that are gone and are remembered for a while: so many at most, the oldest forgotten first, and each of them in the end. */
import { Effect, FiberHandle } from "effect"
import { monotonicMillis } from "../pod/machine/Workbench.ts"

const most = 1000
const lastsMillis = 7 * 24 * 3600_000

export interface Lingering {
  readonly has: (owner: string) => boolean
  readonly add: (owner: string) => Effect.Effect<void>
  readonly delete: (owner: string) => void
}

/** `forget` is to delete the owner here, too. */
export const makeLingering = Effect.fnUntraced(function*(forget: (owner: string) => Effect.Effect<void>) {
  /** Until when, in monotonic milliseconds; the oldest first. */
  const owners = new Map<string, number>()
  const forgetting = yield* FiberHandle.make()

  const forgetAll = Effect.gen(function*() {
    while (true) {
      const [oldest] = owners
      if (oldest === undefined) return
      const [owner, until] = oldest
      const left = owners.size > most ? 0 : until - (yield* monotonicMillis)
      yield* left > 0 ? Effect.sleep(left) : forget(owner)
    }
  })

  const lingering: Lingering = {
    has: (owner) => owners.has(owner),
    add: Effect.fnUntraced(function*(owner) {
      owners.delete(owner)
      owners.set(owner, (yield* monotonicMillis) + lastsMillis)
      // What sleeps looks again: there may be too many by now.
      yield* FiberHandle.run(forgetting, forgetAll)
    }),
    delete: (owner) => void owners.delete(owner)
  }
  return lingering
})
