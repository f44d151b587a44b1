/**
 * The device was deleted from its cluster: pods end, files and journal go, secrets first. What is left is what the device is: its own
 * key, and the memory of its link.
 */
import { Clock, Duration, Effect, Exit, Fiber, FiberSet, Schedule } from "effect"
import { PodFiles } from "../pod/PodFiles.ts"
import { PodRuntime } from "../pod/PodRuntime.ts"
import { AgentSettings } from "./AgentSettings.ts"
import { forgetPod } from "./forgetPod.ts"
import { Journal } from "./Journal.ts"
import { Outbox } from "./Outbox.ts"

const again = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")]).pipe(Schedule.jittered)

export interface Retirement {
  readonly run: Effect.Effect<void>
  /** What begins a pod is given up when the device retires, and does not begin until it has: it would outlive the wipe. */
  readonly unlessRetiring: <A>(begins: Effect.Effect<A>, otherwise: A) => Effect.Effect<A>
}

export const makeRetirement = Effect.gen(function*() {
  const runtime = yield* PodRuntime
  const files = yield* PodFiles
  const journal = yield* Journal
  const outbox = yield* Outbox
  const settings = yield* AgentSettings

  /** Until the last report of each pod says that nothing of it is left. */
  const podsEnded = Effect.gen(function*() {
    while ((yield* runtime.held).some(({ uid }) => !outbox.finished(uid))) yield* Effect.sleep("200 millis")
  })

  /** An operator may ask for what a refusal has begun. */
  let retiring = 0
  const beginning = yield* FiberSet.make<unknown, never>()

  const wipe = Effect.gen(function*() {
    const began = yield* Clock.monotonicTimeNanos
    // They may be waiting for space on a disk that only the wipe will make.
    yield* FiberSet.clear(beginning)
    const uids = (yield* runtime.held).map(({ uid }) => uid)
    yield* Effect.logWarning(`the cluster has deleted this device: ending ${uids.length} pods and wiping`)
    const grace = Duration.toSeconds(Duration.fromInputUnsafe(settings.retireGrace))
    // All at once: where the disk is full, a removal is answered only when there is space again.
    yield* Effect.forEach(uids, (uid) => runtime.remove(uid, grace), { concurrency: "unbounded", discard: true })
      .pipe(
        Effect.andThen(podsEnded),
        Effect.timeout(Duration.seconds(grace + 30)),
        Effect.catchTag(
          "TimeoutError",
          // What still runs is nobody's from here on, and ends as whatever the agent does not know.
          () => Effect.logWarning("some pods did not end in time; their files go all the same")
        )
      )
    // Before the journal is asked for anything: they may be what fills the disk.
    yield* files.pods.pipe(
      Effect.flatMap((uids) => Effect.forEach(uids, (uid) => files.remove(uid), { discard: true })),
      // As with all that belongs to no pod, it is tried again until they are gone.
      Effect.catch((error) => Effect.logWarning(`files of pods are left behind for now: ${error.message}`))
    )
    // A report that is on its way to the operator would be noted as taken after the wipe.
    for (const uid of uids) yield* forgetPod(runtime, outbox, uid)
    // Nothing is confirmed before it: what the device was told is in there.
    yield* journal.wipe.pipe(
      Effect.tapError((error) => Effect.logWarning(`the journal cannot be wiped yet: ${error.message}`)),
      Effect.retry(again),
      Effect.orDie
    )
    const took = Duration.nanos((yield* Clock.monotonicTimeNanos) - began)
    yield* Effect.logWarning(`wiped in ${Math.round(Duration.toMillis(took))} ms`)
  })

  const retirement: Retirement = {
    run: Effect.acquireUseRelease(
      Effect.sync(() => void (retiring += 1)),
      () => wipe,
      () => Effect.sync(() => void (retiring -= 1))
    ),
    unlessRetiring: Effect.fnUntraced(function*(begins, otherwise) {
      if (retiring > 0) return otherwise
      const fiber = yield* FiberSet.run(beginning, begins)
      const exit = yield* Effect.onInterrupt(Fiber.await(fiber), () => Fiber.interrupt(fiber))
      return Exit.hasInterrupts(exit) ? otherwise : yield* exit
    })
  }
  return retirement
})
