/**
 * Storms over worker processes, one seed at a time each. What is reported of a seed does not depend on which worker had it, nor on
 * what that worker did before; reports come in the order of seeds.
 */
import { Effect } from "effect"
import type { StormOptions } from "./storm.ts"
import { makeWorker, type Report, type WorkerOptions } from "./workers.ts"

export interface Orders extends WorkerOptions {
  readonly first: number
  readonly count: number
  readonly workers: number
  readonly options?: Omit<StormOptions, "seed">
  /** Instead of one for all seeds: they take turns. */
  readonly profiles?: ReadonlyArray<string>
  /** Whether the stories of seeds that passed are wanted too. */
  readonly told?: boolean
}

/** Which of several profiles a seed has; the same wherever its run began. */
export const profileFor = (seed: number, profiles: ReadonlyArray<string>): string | undefined =>
  profiles[seed % profiles.length]

/** Runs the seeds; `heard` is told of each in the order of seeds, as soon as all before it are done. */
export const overWorkers = (orders: Orders, heard: (report: Report) => void): Effect.Effect<void> => {
  const end = orders.first + orders.count
  let next = orders.first
  let due = orders.first
  const early = new Map<number, Report>()
  const take = (report: Report) => {
    early.set(report.seed, report)
    for (let ready = early.get(due); ready !== undefined; ready = early.get(due)) {
      early.delete(due)
      due += 1
      heard(ready)
    }
  }

  const lane = Effect.gen(function*() {
    const worker = yield* makeWorker(orders)
    while (next < end) {
      const seed = next++
      const profile = profileFor(seed, orders.profiles ?? [])
      const options = { ...orders.options, ...(profile === undefined ? {} : { profile }) }
      take(yield* worker({ ...options, seed, told: orders.told ?? false }))
    }
  }).pipe(Effect.scoped)

  return Effect.all(Array.from({ length: Math.max(1, Math.min(orders.workers, orders.count)) }, () => lane), {
    concurrency: "unbounded",
    discard: true
  })
}
