/** Stops a running container beside everything else; asked again with less patience, the rest of the wait is shortened. */
import { Cause, Effect, FiberMap } from "effect"
import type { Container } from "../ContainerRuntime.ts"
import { retryDelay } from "./retryDelay.ts"
import { monotonicMillis, stateOf, type Workbench } from "./Workbench.ts"

/** Seconds that every container gets, however late it is. */
const leastGrace = 2

/** `deadline` in monotonic milliseconds. */
export const stopContainer = Effect.fnUntraced(
  function*(bench: Workbench, container: Container, deadline: number, message: string) {
    const before = bench.stopDeadlines.get(container.id)
    if (before !== undefined && before <= deadline) return
    const { assignment } = yield* stateOf(bench)
    const timesBefore = before === undefined ? bench.stopped.get(container.id) ?? 0 : 0
    if (before === undefined && timesBefore === 0) {
      yield* bench.events.emit({ assignment, container: container.container }, "Normal", "Killing", message)
    }
    let failures = 0
    const stop = Effect.gen(function*() {
      // The engine said that it has ended, and lists it all the same: that passes, or is asked for again, but not at once.
      if (timesBefore > 0) yield* Effect.sleep(yield* retryDelay(bench.options.retry, timesBefore - 1))
      while (true) {
        const left = Math.ceil((deadline - (yield* monotonicMillis)) / 1000)
        const stopped = yield* Effect.exit(bench.runtime.stop(container.id, Math.max(leastGrace, left)))
        if (stopped._tag === "Success") break
        yield* Effect.logDebug(`${container.id} does not stop: ${Cause.pretty(stopped.cause)}`)
        yield* Effect.sleep(yield* retryDelay(bench.options.retry, failures++))
      }
      bench.stopped.set(container.id, (bench.stopped.get(container.id) ?? 0) + 1)
      bench.stopDeadlines.delete(container.id)
      yield* bench.wake.open
    })
    bench.stopDeadlines.set(container.id, deadline)
    yield* FiberMap.run(bench.stops, container.id, Effect.interruptible(stop))
  },
  // What is noted as being stopped has its fiber, whatever interrupts the caller.
  Effect.uninterruptible
)
