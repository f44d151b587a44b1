/** A bounded memory of answers that are true for a while. */
import { Clock, Duration, Effect } from "effect"

export interface Verdicts<A> {
  readonly recall: (key: string) => Effect.Effect<A | undefined>
  readonly remember: (key: string, verdict: A, timeToLive: Duration.Input) => Effect.Effect<void>
}

/** The oldest is forgotten when there are more than `capacity`. Time is monotonic: no wall clock makes a verdict last. */
export const makeVerdicts = <A>(capacity: number): Verdicts<A> => {
  const kept = new Map<string, { readonly verdict: A; readonly until: bigint }>()
  return {
    recall: (key) =>
      Effect.map(Clock.monotonicTimeNanos, (now) => {
        const found = kept.get(key)
        if (found === undefined) return undefined
        if (now < found.until) return found.verdict
        kept.delete(key)
        return undefined
      }),
    remember: (key, verdict, timeToLive) =>
      Effect.map(Clock.monotonicTimeNanos, (now) => {
        kept.delete(key)
        if (kept.size >= capacity) {
          for (const oldest of kept.keys()) {
            kept.delete(oldest)
            break
          }
        }
        kept.set(key, {
          verdict,
          until: now + BigInt(Math.round(Duration.toMillis(Duration.fromInputUnsafe(timeToLive)))) * 1_000_000n
        })
      })
  }
}
