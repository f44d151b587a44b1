/** One worker process: weathers a storm for each order it is sent, and reports it. Ends with its parent. */
import type { Report } from "./overWorkers.ts"
import type { StormOptions } from "./storm.ts"

// Effect keeps an asynchronous context for each fiber that waits, for tools that nobody uses here; so it does not find any.
const builtin = process.getBuiltinModule.bind(process)
process.getBuiltinModule = ((name: string) => name === "node:async_hooks" ? undefined : builtin(name)) as typeof builtin

const programs = Promise.all([import("effect"), import("./storm.ts")])

process.on("disconnect", () => process.exit())

process.on("message", (order: StormOptions & { readonly told: boolean }) => {
  const { told, ...options } = order
  void programs.then(async ([{ Effect }, { storm }]) => {
    const before = process.cpuUsage()
    const result = await Effect.runPromise(storm(options))
    const { system, user } = process.cpuUsage(before)
    const report: Report = {
      ...result,
      failure: result.failure ?? null,
      story: told || result.failure !== undefined ? result.story : [],
      events: told || result.failure !== undefined ? result.events : [],
      cpuMillis: (user + system) / 1000
    }
    process.send?.(report)
  })
})
