/** One worker process: weathers a storm for each order it is sent, and reports it. Ends with its parent. */
import { Effect } from "effect"
import type { Report } from "./overWorkers.ts"
import { storm, type StormOptions } from "./storm.ts"

process.on("disconnect", () => process.exit())

process.on("message", (order: StormOptions & { readonly told: boolean }) => {
  const { told, ...options } = order
  const before = process.cpuUsage()
  void Effect.runPromise(storm(options)).then((result) => {
    const { system, user } = process.cpuUsage(before)
    const report: Report = {
      ...result,
      failure: result.failure ?? null,
      story: told || result.failure !== undefined ? result.story : [],
      cpuMillis: (user + system) / 1000
    }
    process.send?.(report)
  })
})
