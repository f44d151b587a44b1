/**
 * One worker process: weathers a storm for each order it is sent, and reports it. Ends with its parent. Its argument, if any, is the
 * mistake that the product has in this process.
 */
import type { Order, Report } from "./workers.ts"

// Effect keeps an asynchronous context for each fiber that waits, for tools that nobody uses here; so it does not find any.
const builtin = process.getBuiltinModule.bind(process)
process.getBuiltinModule = ((name: string) => name === "node:async_hooks" ? undefined : builtin(name)) as typeof builtin

const mistaken = async (name: string | undefined) => {
  if (name === undefined) return
  const [{ mutate }, { mutations }] = await Promise.all([
    import("./mutations/mutate.ts"),
    import("./mutations/mutations.ts")
  ])
  const mutation = mutations.find((each) => each.name === name)
  if (mutation === undefined) throw new Error(`there is no mutation ${name}`)
  mutate(mutation)
}

const programs = mistaken(process.argv[2]).then(() => Promise.all([import("effect"), import("./storm.ts")]))

process.on("disconnect", () => process.exit())

process.on("message", ({ told, ...options }: Order) => {
  void programs.then(async ([{ Effect }, { storm }]) => {
    const before = process.cpuUsage()
    const result = await Effect.runPromise(storm(options))
    const { system, user } = process.cpuUsage(before)
    const untold = told || result.failure !== undefined ? {} : { story: [], events: [] }
    const report: Report = {
      ...result,
      ...untold,
      failure: result.failure ?? null,
      cpuMillis: (user + system) / 1000
    }
    process.send?.(report)
  })
})
