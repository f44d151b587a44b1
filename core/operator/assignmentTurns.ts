/** Who may be on the way to a device: of many pods that share a thin line at a time none would arrive for long. */
import { type Effect, Semaphore } from "effect"
import type { PodAssignment } from "../pod/PodAssignment.ts"
import { leastSize } from "../pod/resolve/size.ts"

/**
 * KiB at a time. A large pod counts for half of them, so that another goes beside it; small ones go eight at a time, as a far line takes
 * seconds for each answer.
 */
const atOnce = 16
const shareOf = (assignment: PodAssignment) => Math.min(atOnce / 2, 1 + Math.ceil((leastSize(assignment) + 1) / 1024))

/** Has what sends this one wait for its turn. */
export type AssignmentTurns = (
  assignment: PodAssignment
) => <A, E, R>(asking: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Of one device. */
export const makeAssignmentTurns = (): AssignmentTurns => {
  const turns = Semaphore.makeUnsafe(atOnce)
  return (assignment) => turns.withPermits(shareOf(assignment))
}
