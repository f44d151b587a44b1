/** What every ContainerRuntime promises; run against memory, plain processes and docker. */
import { describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { lifecycleContract } from "./runtime/lifecycle.ts"
import { logsContract } from "./runtime/logs.ts"
import { standingContract } from "./runtime/standing.ts"
import { streamsContract } from "./runtime/streams.ts"
import { surroundingsContract } from "./runtime/surroundings.ts"
import type { ContractTest, ContractWorld } from "./runtimeWorld.ts"

/** `open` makes a world of its own for each test. */
export const containerRuntimeContract = <E>(
  name: string,
  open: Effect.Effect<ContractWorld, E, Scope.Scope>
): void => {
  const test: ContractTest = (sentence, body) =>
    it.live(sentence, () =>
      Effect.gen(function*() {
        const world = yield* open
        yield* Effect.scoped(body(world)).pipe(Effect.provide(world.runtime, { local: true }))
      }).pipe(Effect.scoped), 60_000)

  describe(`${name} as a ContainerRuntime`, () => {
    standingContract(test)
    lifecycleContract(test)
    logsContract(test)
    streamsContract(test)
    surroundingsContract(test)
  })
}
