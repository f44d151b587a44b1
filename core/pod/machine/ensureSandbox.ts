/** A ready sandbox for the pod: the one of the journal, or a new attempt where that is gone. */
import { Effect } from "effect"
import type { JournalError } from "../../agent/Journal.ts"
import type { RuntimeError } from "../ContainerRuntime.ts"
import { sandboxSpec } from "./sandboxSpec.ts"
import { savePod, stateOf, tellOnce, type Workbench } from "./Workbench.ts"

/** Looks again which sandbox there is, if that may have changed. */
export const observeSandbox = Effect.fnUntraced(function*(
  bench: Workbench
): Effect.fn.Return<void, RuntimeError | JournalError> {
  if (!bench.sandboxStale) return
  bench.sandboxStale = false
  const all = yield* bench.runtime.sandboxes.pipe(
    Effect.tapError(() =>
      Effect.sync(() => {
        bench.sandboxStale = true
      })
    )
  )
  const { pod } = yield* stateOf(bench)
  const found = all.find(({ attempt, uid }) => uid === bench.uid && attempt === pod.sandboxAttempt)
  // Made in a life that ended before it could be written down.
  if (found?.ready === true && pod.sandboxId !== found.id) {
    yield* savePod(bench, (before) => ({ ...before, sandboxId: found.id }))
  }
  bench.sandbox = found
})

/** To be called while no container of the pod runs. Fails with what the engine said, which the pod's events say too. */
export const ensureSandbox = Effect.fnUntraced(
  function*(bench: Workbench): Effect.fn.Return<void, RuntimeError | JournalError> {
    const { assignment, pod } = yield* stateOf(bench)
    let attempt = pod.sandboxAttempt
    if (pod.sandboxId !== "") {
      attempt += 1
      yield* bench.events.emit(
        { assignment },
        "Normal",
        "SandboxChanged",
        "Pod sandbox changed, it will be killed and re-created."
      )
      yield* savePod(bench, (before) => ({ ...before, sandboxAttempt: attempt, sandboxId: "" }))
    }
    for (const old of yield* bench.runtime.sandboxes) {
      const wanted = old.attempt === attempt && old.ready
      if (old.uid === bench.uid && !wanted) yield* bench.runtime.removeSandbox(old.id)
    }
    const sandbox = yield* bench.runtime.ensureSandbox(sandboxSpec(assignment, attempt)).pipe(
      Effect.tapError((error) =>
        error.reason === "Unavailable" ? Effect.void : tellOnce(bench, "sandbox", {
          reason: "FailedCreatePodSandBox",
          message: `Failed to create pod sandbox: ${error.message}`
        })
      )
    )
    bench.told.delete("sandbox")
    bench.sandbox = sandbox
    if (!sandbox.ready) return
    yield* savePod(bench, (before) => ({ ...before, sandboxId: sandbox.id }))
  }
)
