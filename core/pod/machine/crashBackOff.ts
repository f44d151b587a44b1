/** Restart back-off of one container: the first restart is immediate, then 10 s doubling to 300 s, over after a run of 10 min. */
import type { ContainerRecord } from "./PodState.ts"

export interface CrashBackOff {
  readonly first: number
  readonly most: number
  readonly resetAfter: number
}

/** The back-off of an attempt that has ended: none after a long run, which makes all before it forgotten. */
export const backOffAfter = (record: ContainerRecord, ranMillis: number, limits: CrashBackOff): number =>
  ranMillis > limits.resetAfter ? 0 : record.backOffMillis

export interface Restart {
  /** Milliseconds until the next attempt may start; 0 is now. */
  readonly wait: number
  /** What is being waited for in all, as users are told. */
  readonly backOff: number
  /** `backOffMillis` of the next attempt. */
  readonly next: number
}

/** When a container may be started again that ended so many milliseconds ago. A change of it makes all before forgotten. */
export const restartAfter = (
  record: ContainerRecord,
  restedMillis: number,
  specHash: string,
  limits: Pick<CrashBackOff, "first" | "most">
): Restart => {
  if (record.backOffMillis === 0 || record.replacing || record.specHash !== specHash) {
    return { wait: 0, backOff: 0, next: limits.first }
  }
  const backOff = record.backOffMillis
  const wait = Math.max(0, backOff - restedMillis)
  return { wait, backOff, next: Math.min(limits.most, backOff * 2) }
}
