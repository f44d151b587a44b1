/** Restart back-off of one container: the first restart is immediate, then 10 s doubling to 300 s, over after a run of 10 min. */
import type { ContainerRecord, ContainerResult } from "./PodState.ts"

export interface CrashBackOff {
  readonly first: number
  readonly most: number
  readonly resetAfter: number
}

/** Whether the run that just ended, or a change of the container, makes all before it forgotten. */
const isReset = (record: ContainerRecord, result: ContainerResult, specHash: string, limits: CrashBackOff): boolean =>
  record.replacing || record.specHash !== specHash ||
  (result.startedAt !== undefined && result.finishedAt - result.startedAt > limits.resetAfter)

export interface Restart {
  /** Milliseconds until the next attempt may start; 0 is now. */
  readonly wait: number
  /** What is being waited for in all, as users are told. */
  readonly backOff: number
  /** `backOffMillis` of the next attempt. */
  readonly next: number
}

/**
 * When an ended container may be started again. Measured from the end of the run by the device's clock, so that it goes on over
 * restarts and reboots; a clock that jumped back never makes it longer than the back-off itself.
 */
export const restartAfter = (
  record: ContainerRecord,
  result: ContainerResult,
  specHash: string,
  now: number,
  limits: CrashBackOff
): Restart => {
  if (record.backOffMillis === 0 || isReset(record, result, specHash, limits)) {
    return { wait: 0, backOff: 0, next: limits.first }
  }
  const backOff = record.backOffMillis
  const wait = Math.min(backOff, Math.max(0, result.finishedAt + backOff - now))
  return { wait, backOff, next: Math.min(limits.most, backOff * 2) }
}
