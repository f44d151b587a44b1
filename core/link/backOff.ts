/** How long a device waits before it dials again: capped exponential with full jitter, for ever. */
import { Effect, Random } from "effect"
import type { LinkTimings } from "./LinkTimings.ts"

export interface Failures {
  /** In a row, without a session between them. */
  readonly count: number
  /** Since the last session, or the start. */
  readonly awayMillis: number
  /** Only a person can help. */
  readonly hopeless: boolean
}

/** The longest wait, before jitter. */
export const backOffCap = (timings: LinkTimings, { awayMillis, count, hopeless }: Failures): number => {
  if (hopeless) return timings.refusedRetryMillis
  const most = awayMillis >= timings.backoffPatientAfterMillis
    ? timings.backoffPatientMillis
    : timings.backoffMostMillis
  return Math.min(most, timings.backoffFirstMillis * timings.backoffFactor ** (count - 1))
}

/** Milliseconds. A hopeless case waits at least half of its time: trying at once would only fill somebody's log. */
export const backOff = (timings: LinkTimings, failures: Failures): Effect.Effect<number> => {
  const cap = backOffCap(timings, failures)
  return Effect.map(Random.next, (chance) => failures.hopeless ? cap / 2 + chance * cap / 2 : chance * cap)
}
