/** Worker processes that weather storms, one at a time each. One that dies of a storm, or does not end with it, is replaced. */
import { type Duration, Effect, Exit, Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Counts } from "./coverage.ts"
import type { SizeName } from "./sizes.ts"
import type { StormOptions } from "./storm.ts"
import type { TraceEvent } from "./trace.ts"

export interface Report {
  readonly seed: number
  /** Null when the worker was lost. */
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
  readonly deviceSeconds: number
  readonly cpuMillis: number
}

export interface Order extends StormOptions {
  /** Whether the story is wanted also when nothing fails. */
  readonly told: boolean
}

export interface WorkerOptions {
  /** Longest time of the real clock for one storm: a world that turns for ever at one instant of its own time never ends by itself. */
  readonly limit?: Duration.Input
  /** A mistake that the product has in this worker only, by its name in `mutations.ts`. */
  readonly mutation?: string
}

const launch = (mutation: string | undefined): Effect.Effect<ChildProcess, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() =>
      fork(fileURLToPath(new URL("./worker.ts", import.meta.url)), mutation === undefined ? [] : [mutation], {
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
  deviceSeconds: 0,
  cpuMillis: 0
})

/** How the failure begins of a seed that was played by nobody to its end, because the process ended. */
export const workerDied = "the worker died of it"

/** The worker's report, or that it died over this seed. */
const ask = (child: ChildProcess, order: Order) =>
  Effect.callback<Report>((resume) => {
    const answered = (report: Report) => settle(report)
    const died = (code: number | null, signal: string | null) =>
      settle(lost(order.seed, `${workerDied} (${signal ?? `exit code ${code}`})`))
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

/** What weathers storms: to be asked one at a time. */
export type Worker = (order: Order) => Effect.Effect<Report>

export const makeWorker = Effect.fnUntraced(function*({ limit = "5 minutes", mutation }: WorkerOptions = {}) {
  const parent = yield* Effect.scope
  let employed: { readonly child: ChildProcess; readonly scope: Scope.Closeable } | undefined
  const worker: Worker = Effect.fnUntraced(function*(order) {
    if (employed === undefined) {
      const scope = yield* Scope.fork(parent)
      employed = { child: yield* Scope.provide(launch(mutation), scope), scope }
    }
    const { child, scope } = employed
    const report = yield* ask(child, order).pipe(
      Effect.timeoutOrElse({
        duration: limit,
        orElse: () => Effect.succeed(lost(order.seed, "the worker did not come to an end with it in time"))
      })
    )
    if (report.size === null) {
      employed = undefined
      yield* Scope.close(scope, Exit.void)
    }
    return report
  })
  return worker
})
