/** Ends the workloads when the operator has not been heard for as long as it allowed, and lets them begin again when it is. */
import { Duration, Effect, Queue, Schema, Semaphore, Stream, SubscriptionRef } from "effect"
import type { LinkClient } from "../link/LinkClient.ts"
import { monotonicMillis } from "../pod/machine/Workbench.ts"
import { PodRuntime } from "../pod/PodRuntime.ts"
import { HostFacts } from "./HostFacts.ts"
import { Journal } from "./Journal.ts"
import { isOver, type Leash, leashCapability, leashRow, readLeash } from "./leash.ts"

/** The journal's word is brought up to date when it is so old, as a share of the whole: flash memory wears. */
const journalShare = 4
/** The operator is asked for a word when the last is so old, as a share of the whole. */
const askShare = 4

/** The operator allows something, and how old that is nobody knows: it has to say so again. */
export class AllowedTooLate
  extends Schema.TaggedError<AllowedTooLate>()("AllowedTooLate", { stopAfter: Schema.Number })
{
  override get message() {
    const age = Duration.format(Duration.millis(this.stopAfter))
    return `the newest that the operator is known to have is older than ${age}: workloads rest until it allows them again`
  }
}

export const keepLeash = Effect.gen(function*() {
  const journal = yield* Journal
  const runtime = yield* PodRuntime
  const { bootId } = yield* (yield* HostFacts).info
  const bell = yield* Queue.sliding<void>(1)
  const turn = yield* Semaphore.make(1)
  /** A journal that cannot be read has stopped the agent before this. */
  let leash = yield* Effect.orDie(readLeash(bootId))
  let written = leash
  let heard: () => number | undefined = () => undefined

  /** With what was heard since. */
  const current = (): Leash | undefined => {
    const acknowledged = heard()
    return leash === undefined || acknowledged === undefined
      ? leash
      : { ...leash, acknowledged: Math.max(leash.acknowledged ?? -Infinity, acknowledged) }
  }

  const write = (next: Leash | undefined) =>
    leashRow(next, bootId).pipe(
      Effect.flatMap((row) => journal.commit([row])),
      Effect.andThen(Effect.sync(() => {
        written = next
      }))
    )

  const tell = (resting: boolean) =>
    resting
      ? Effect.logWarning("the operator has not been heard for too long: workloads rest until it allows them again")
      : Effect.logInfo("the operator is heard again: workloads go on")
  /** From the start on where the journal says so, as the runtime found it there. */
  let resting = isOver(leash, yield* monotonicMillis)
  if (resting) yield* tell(resting)
  const restChanges = yield* SubscriptionRef.make(resting)
  const rest = Effect.fnUntraced(function*(wanted: boolean) {
    yield* runtime.rest(wanted)
    if (resting === wanted) return
    resting = wanted
    yield* tell(resting)
    yield* SubscriptionRef.set(restChanges, wanted)
  }, Effect.uninterruptible)

  /**
   * What the operator allows, undefined for ever; durable before it returns. It also ends a rest, which the sound of the operator
   * alone does not: it may first have to say which pods were replaced meanwhile. It fails where the leash is over all the same:
   * what it allows may have lain in a line that stood still, and more may have been replaced since.
   */
  const allow = (stopAfter: number | undefined) =>
    turn.withPermit(Effect.gen(function*() {
      if (leash?.stopAfter !== stopAfter) {
        const next = stopAfter === undefined ? undefined : { stopAfter, acknowledged: leash?.acknowledged }
        yield* write(next)
        leash = next
        yield* Effect.logInfo(
          stopAfter === undefined
            ? "workloads run whether the operator is heard or not"
            : `workloads rest when the operator is not heard for ${Duration.format(Duration.millis(stopAfter))}`
        )
      }
      leash = current()
      yield* Queue.offer(bell, undefined)
      if (leash !== undefined && isOver(leash, yield* monotonicMillis)) {
        return yield* new AllowedTooLate({ stopAfter: leash.stopAfter })
      }
      yield* rest(false)
    }))

  const look = turn.withPermit(Effect.gen(function*() {
    const now = yield* monotonicMillis
    leash = current()
    if (leash === undefined) return Number.POSITIVE_INFINITY
    if (isOver(leash, now)) {
      yield* rest(true)
      // Only the operator's word changes that.
      return Number.POSITIVE_INFINITY
    }
    const { acknowledged = now, stopAfter } = leash
    const share = stopAfter / journalShare
    // Heard is not allowed yet: the next life of the agent has to find the leash over as long as this one rests.
    if (!resting && acknowledged - (written?.acknowledged ?? -Infinity) >= share) {
      yield* write(leash).pipe(
        // An older word only makes the next life of the agent more careful.
        Effect.catch((error) => Effect.logDebug(`the operator's last word was not noted: ${error.message}`))
      )
    }
    return Math.max(1, Math.min(Math.ceil(acknowledged + stopAfter - now), share))
  }))

  const run = Effect.fnUntraced(function*(link: LinkClient) {
    heard = link.acknowledgedAt
    yield* SubscriptionRef.changes(link.state).pipe(
      Stream.runForEach(() => Queue.offer(bell, undefined)),
      Effect.forkScoped
    )
    while (true) {
      const pause = yield* look
      // One that could not be read has no length to take a share of: the operator's word is due anyway.
      link.askWithin(leash === undefined || leash.stopAfter === 0 ? Infinity : leash.stopAfter / askShare)
      const ring = Queue.take(bell)
      yield* pause === Number.POSITIVE_INFINITY ? ring : Effect.timeoutOption(ring, Duration.millis(pause))
    }
  }, Effect.scoped)

  return {
    allow,
    run,
    /** Whether workloads rest for want of the operator. */
    resting: restChanges,
    /** For the operator: that this agent can be kept thus, and how it is. */
    capabilities: () => [leash === undefined ? leashCapability : `${leashCapability}=${leash.stopAfter}`]
  }
})
export type KeepLeash = Effect.Success<typeof keepLeash>
