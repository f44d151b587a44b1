/**
 * Storms over worker processes, one seed at a time each. What is reported of a seed does not depend on which worker had it, nor on
 * what that worker did before; reports come in the order of seeds.
 */
import { type Duration, Effect, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Counts } from "./coverage.ts"
import type { SizeName } from "./sizes.ts"
import type { StormOptions } from "./storm.ts"
import type { TraceEvent } from "./trace.ts"

export interface Report {
  readonly seed: number
  readonly size: SizeName | null
  readonly profile: string | null
  /** How often each fault fired, and each rule was put to the test. */
  readonly counts: Counts
  /** What was violated; null when nothing was. */
  readonly failure: string | null
  /** Of the whole story, empty when there is none. */
  readonly hash: string
  /** Of a failed seed, or when it was asked for. */
  readonly story: ReadonlyArray<string>
  /** As `story`. */
  readonly events: ReadonlyArray<TraceEvent>
  readonly virtualSeconds: number
  readonly cpuMillis: number
}

export interface Orders {
  readonly first: number
  readonly count: number
  readonly workers: number
  readonly options?: Omit<StormOptions, "seed">
  /** Whether the stories of seeds that passed are wanted too. */
  readonly told?: boolean
  /** Longest time of the real clock for one seed: a world that turns for ever at one instant of its own time never ends by itself. */
  readonly limit?: Duration.Input
}

const launch: Effect.Effect<ChildProcess, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() =>
    fork(fileURLToPath(new URL("./worker.ts", import.meta.url)), {
      execPath: process.execPath,
      // A world leaves much garbage, and none of it lives long.
      execArgv: ["--min-semi-space-size=64", "--max-semi-space-size=64"],
      stdio: ["ignore", "inherit", "inherit", "ipc"]
    })
  ),
  (child) => Effect.sync(() => void child.kill("SIGKILL"))
)

const lost = (seed: number, why: string): Report => ({
  seed,
  size: null,
  profile: null,
  counts: {},
  failure: why,
  hash: "",
  story: [],
  events: [],
  virtualSeconds: 0,
  cpuMillis: 0
})

/** The worker's report, or that it died over this seed. */
const ask = (child: ChildProcess, order: StormOptions & { readonly told: boolean }) =>
  Effect.callback<Report>((resume) => {
    const answered = (report: Report) => settle(report)
    const died = (code: number | null, signal: string | null) =>
      settle(lost(order.seed, `the worker died of it (${signal ?? `exit code ${code}`})`))
    const failed = (error: Error) => settle(lost(order.seed, `the worker cannot be spoken to: ${error.message}`))
    const hangUp = () => {
      child.off("message", answered)
      child.off("exit", died)
      child.off("error", failed)
    }
    const settle = (report: Report) => {
      hangUp()
      resume(Effect.succeed(report))
    }
    child.on("message", answered)
    child.on("exit", died)
    child.on("error", failed)
    child.send(order, (error) => {
      if (error !== null) failed(error)
    })
    return Effect.sync(hangUp)
  })

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

  /** Until its worker had to be given up, or no seed is left. */
  const lane = Effect.gen(function*() {
    const child = yield* launch
    while (next < end) {
      const seed = next++
      const report = yield* ask(child, { ...orders.options, seed, told: orders.told ?? false }).pipe(
        Effect.timeoutOrElse({
          duration: orders.limit ?? "5 minutes",
          orElse: () => Effect.succeed(lost(seed, "the worker did not come to an end with it in time"))
        })
      )
      take(report)
      if (report.size === null) return
    }
  }).pipe(Effect.scoped)

  const lanes = Array.from({ length: Math.max(1, Math.min(orders.workers, orders.count)) })
  return Effect.forEach(lanes, () => Effect.whileLoop({ while: () => next < end, body: () => lane, step: () => {} }), {
    concurrency: "unbounded",
    discard: true
  })
}
