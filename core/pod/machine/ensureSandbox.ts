/** A ready sandbox for the pod: the one of the journal, or a new attempt where that is gone. */
import { Effect } from "effect"
import type { JournalError } from "../../agent/Journal.ts"
import { RuntimeError } from "../ContainerRuntime.ts"
import { retryDelay } from "./retryDelay.ts"
import { sandboxSpec } from "./sandboxSpec.ts"
import { monotonicMillis, savePod, stateOf, tellOnce, type Workbench } from "./Workbench.ts"

/** Looks again which sandbox there is, if that may have changed. */
export const observeSandbox = Effect.fnUntraced(function*(
  bench: Workbench
): Effect.fn.Return<void, RuntimeError | JournalError> {
  if (!bench.sandboxStale) return
  // Before the look: what is heard meanwhile is looked at once more.
  bench.sandboxStale = false
  yield* Effect.onError(findSandbox(bench), () =>
    Effect.sync(() => {
      bench.sandboxStale = true
    }))
})

const findSandbox = Effect.fnUntraced(function*(
  bench: Workbench
): Effect.fn.Return<void, RuntimeError | JournalError> {
  const all = yield* bench.runtime.sandboxes(bench.uid)
  const { pod } = yield* stateOf(bench)
  const [found] = all.filter(({ attempt }) => attempt >= pod.sandboxAttempt)
    .toSorted((one, other) => other.attempt - one.attempt)
  // Made in a life that ended before it could be written down, or that the journal has lost.
  if (
    found !== undefined && (found.attempt > pod.sandboxAttempt || (found.ready && pod.sandboxId !== found.id))
  ) {
    const { attempt, id, ready } = found
    yield* savePod(bench, (before) => ({
      ...before,
      sandboxAttempt: attempt,
      sandboxId: ready ? id : before.sandboxId
    }))
  }
  bench.sandbox = found
})

/**
 * To be called while no container of the pod runs. Fails with what the engine said, which the pod's events say too. Says how many
 * milliseconds it is too early for another one, 0 when there is one.
 */
export const ensureSandbox = Effect.fnUntraced(
  function*(bench: Workbench): Effect.fn.Return<number, RuntimeError | JournalError> {
    const early = bench.sandboxMade.next - (yield* monotonicMillis)
    if (early > 0) return early
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
    for (const old of yield* bench.runtime.sandboxes(bench.uid)) {
      const wanted = old.attempt === attempt && old.ready
      if (!wanted) yield* bench.runtime.removeSandbox(old.id)
    }
    const cannot = (why: string) =>
      tellOnce(bench, "sandbox", {
        reason: "FailedCreatePodSandBox",
        message: `Failed to create pod sandbox: ${why}`
      })
    const sandbox = yield* bench.runtime.ensureSandbox(sandboxSpec(assignment, attempt)).pipe(
      Effect.tapError((error) => error.reason === "Unavailable" ? Effect.void : cannot(error.message))
    )
    yield* noteMade(bench)
    bench.sandbox = sandbox
    if (!sandbox.ready) {
      const detail = "the sandbox ended as soon as it had begun"
      yield* cannot(detail)
      return yield* new RuntimeError({ reason: "Unavailable", detail })
    }
    bench.told.delete("sandbox")
    yield* savePod(bench, (before) => ({ ...before, sandboxId: sandbox.id }))
    return 0
  }
)

/** One that is lost is replaced at once, but not again and again: its end wakes us, whatever we wanted to wait for. */
const noteMade = Effect.fnUntraced(function*(bench: Workbench) {
  const { retry } = bench.options
  const now = yield* monotonicMillis
  const { at, inRow } = bench.sandboxMade
  const soon = at !== undefined && now - at < 2 * retry.most
  bench.sandboxMade = {
    at: now,
    inRow: soon ? inRow + 1 : 0,
    next: soon ? now + (yield* retryDelay(retry, inRow)) : now
  }
})
