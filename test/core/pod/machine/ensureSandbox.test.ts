import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { RuntimeError, type Sandbox } from "../../../../core/pod/ContainerRuntime.ts"
import { observeSandbox } from "../../../../core/pod/machine/ensureSandbox.ts"
import type { Workbench } from "../../../../core/pod/machine/Workbench.ts"

const bench = (sandboxes: Effect.Effect<ReadonlyArray<Sandbox>, RuntimeError>) =>
  ({
    uid: "u1",
    sandboxStale: true,
    sandbox: undefined,
    runtime: { sandboxes: () => sandboxes }
  }) as unknown as Workbench

describe("a look at a pod's sandbox", () => {
  it.effect("that comes to no end has told nothing, and is due again", () =>
    Effect.gen(function*() {
      const interrupted = bench(Effect.never)
      yield* Fiber.interrupt(yield* Effect.forkChild(observeSandbox(interrupted), { startImmediately: true }))
      assert.isTrue(interrupted.sandboxStale)
      const failed = bench(Effect.fail(new RuntimeError({ reason: "Unavailable", detail: "the engine is away" })))
      yield* Effect.flip(observeSandbox(failed))
      assert.isTrue(failed.sandboxStale)
    }))
})
