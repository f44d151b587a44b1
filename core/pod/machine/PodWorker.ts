/** The fiber of one pod: looks, acts, waits to be woken, and never gives up. */
import { Cause, Duration, Effect, Latch, Random } from "effect"
import type { RuntimeEvent } from "../ContainerRuntime.ts"
import { clearPod, terminatePod } from "./endPod.ts"
import { keepPod } from "./keepPod.ts"
import { retryDelay } from "./retryDelay.ts"
import { type Machine, makeWorkbench, stateOf, type Workbench } from "./Workbench.ts"

export interface PodWorker {
  /** Something may have changed. */
  readonly wake: () => void
  /** The runtime says so. */
  readonly hint: (kind: RuntimeEvent["kind"]) => void
  /** The pod ends, or ends sooner: whatever is being done is left. */
  readonly urge: () => void
  /** There is a new version of the assignment. */
  readonly updated: () => void
}

/** What an engine that does not answer was called when the pod was last told of: a pod may have no need of it. */
const nameOfRuntime = (bench: Workbench) =>
  Effect.catch(Effect.map(bench.runtime.info, ({ name }) => name), (error) => {
    const { containerStatuses = [], initContainerStatuses = [] } = bench.store.get(bench.uid)?.pod.report?.status ?? {}
    const id = [...containerStatuses, ...initContainerStatuses].find(({ containerID }) => containerID !== undefined)
      ?.containerID
    return id === undefined ? Effect.fail(error) : Effect.succeed(id.slice(0, id.indexOf("://")))
  })

const pass = Effect.fnUntraced(function*(bench: Workbench) {
  if (bench.runtimeName === "") bench.runtimeName = yield* nameOfRuntime(bench)
  const { pod } = yield* stateOf(bench)
  switch (pod.stage) {
    case "Sync":
      return yield* keepPod(bench)
    case "Terminating":
      return yield* terminatePod(bench)
    case "Terminated":
      return yield* clearPod(bench)
  }
})

export const makePodWorker = Effect.fnUntraced(function*(machine: Machine, uid: string) {
  const bench = yield* makeWorkbench(machine, uid)
  let failures = 0

  /** Milliseconds until the next look, unless woken. A failure, of whatever kind, is answered by another try. */
  const look = Effect.suspend(() => pass(bench)).pipe(
    Effect.tap(() =>
      Effect.sync(() => {
        failures = 0
      })
    ),
    Effect.catchCause((cause) => {
      if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
      const log = Cause.hasDies(cause) ? Effect.logError : Effect.logDebug
      bench.sandboxStale = true
      return Effect.andThen(
        log(`pod ${uid} is tried again: ${Cause.pretty(cause)}`),
        retryDelay(machine.options.retry, failures++)
      )
    })
  )

  const run = Effect.gen(function*() {
    while (true) {
      yield* Latch.close(bench.wake)
      yield* Latch.close(bench.urgent)
      const resync = machine.options.resyncMillis * (1 + (yield* Random.next) / 2)
      const pause = yield* Effect.raceFirst(look, Effect.as(bench.urgent.await, 0))
      if (pause === 0) continue
      // Rounded up: a moment too early there is nothing to do yet.
      const woken = yield* bench.wake.await.pipe(
        Effect.timeoutOption(Duration.millis(Math.ceil(Math.min(pause, resync))))
      )
      if (woken._tag === "None" && pause > resync) bench.sandboxStale = true
    }
  })

  const worker: PodWorker = {
    wake: () => {
      bench.wake.openUnsafe()
    },
    hint: (kind) => {
      // The end of our own start wakes us; a look in its midst would only tell half of it.
      if (kind === "started" && bench.busy.size > 0) return
      bench.sandboxStale = true
      bench.wake.openUnsafe()
    },
    urge: () => {
      bench.wake.openUnsafe()
      bench.urgent.openUnsafe()
    },
    updated: () => {
      bench.volumes = undefined
      bench.told.clear()
      bench.wake.openUnsafe()
    }
  }
  return { worker, run }
})
