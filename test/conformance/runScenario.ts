/** Runs one scenario in a cluster and a virtual time of its own, and says what became of it. */
import { Cause, Effect, Exit, Layer } from "effect"
import { simulate } from "../simulation/VirtualTime.ts"
import { Cluster, clusterLayer } from "./Cluster.ts"
import { Deviation } from "./Deviation.ts"
import type { Scenario } from "./Scenario.ts"

export interface Outcome {
  readonly name: string
  readonly state: "passed" | "failed" | "skipped"
  /** Why it failed or was skipped; empty where it passed. */
  readonly reason: string
}

/** Of virtual and of real time: whoever hangs fails. */
const limit = "12 hours"
const patience = "60 seconds"

const nothingDied = Effect.flatMap(
  Cluster,
  ({ died }) =>
    died.length === 0 ? Effect.void : Effect.fail(new Deviation({ detail: `ended by itself: ${died.join("; ")}` }))
)

const words = (cause: Cause.Cause<unknown>): string => {
  const squashed = Cause.squash(cause)
  return squashed instanceof Error ? squashed.message || squashed.name : String(squashed)
}

export const runScenario = Effect.fnUntraced(function*({ does, name }: Scenario): Effect.fn.Return<Outcome> {
  if ("skipped" in does) return { name, state: "skipped", reason: does.skipped }
  const exit = yield* simulate(
    1,
    () => does.pipe(Effect.andThen(nothingDied), Effect.provide(Layer.fresh(clusterLayer))),
    // Volumes are on the real disk.
    { limit, real: true, logs: process.env["LOGS"] === "1" }
  ).pipe(Effect.timeout(patience), Effect.exit)
  return Exit.isSuccess(exit)
    ? { name, state: "passed", reason: "" }
    : { name, state: "failed", reason: words(exit.cause) }
})
