/** An agent to be killed: makes and starts a container as told by its argument, says so, and stays. */
import { Effect } from "effect"
import type { ProcessOptions } from "../../../adapters/process/ProcessOptions.ts"
import * as ProcessRuntime from "../../../adapters/process/ProcessRuntime.ts"
import { ContainerRuntime, type ContainerSpec, type SandboxSpec } from "../../../core/pod/ContainerRuntime.ts"

export interface Order {
  readonly options: ProcessOptions
  readonly sandbox: SandboxSpec
  readonly specs: ReadonlyArray<ContainerSpec>
}

if (import.meta.main) {
  const order = JSON.parse(process.argv[2] ?? "") as Order
  await Effect.runPromise(
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      yield* runtime.ensureSandbox(order.sandbox)
      for (const spec of order.specs) yield* runtime.start(yield* runtime.create(spec))
      yield* Effect.sync(() => process.stdout.write("launched\n"))
      return yield* Effect.never
    }).pipe(Effect.provide(ProcessRuntime.layer(order.options)))
  )
}
