/** Work on one thing, one after the other, in the order in which it was asked for; on different things side by side. */
import { Effect, Semaphore } from "effect"

export const makeTurns = () => {
  const turns = new Map<string, { readonly semaphore: Semaphore.Semaphore; users: number }>()
  return <A, E, R>(key: string, work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    // In one step: whoever is let in between looking and entering would have a turn of his own.
    Effect.suspend(() => {
      const turn = turns.get(key) ?? { semaphore: Semaphore.makeUnsafe(1), users: 0 }
      turns.set(key, turn)
      turn.users += 1
      return turn.semaphore.withPermit(work).pipe(Effect.ensuring(Effect.sync(() => {
        turn.users -= 1
        if (turn.users === 0) turns.delete(key)
      })))
    })
}
