import { Effect } from "effect"
import { runScenario } from "./runScenario.ts"
import { scenarios } from "./scenarios.ts"
for (const s of scenarios) {
  if (process.argv[2] !== undefined && !s.name.includes(process.argv[2])) continue
  const t = performance.now()
  const o = await Effect.runPromise(runScenario(s))
  if (o.state !== "skipped") console.log(o.state, (performance.now() - t).toFixed(0), o.name, o.reason.slice(0, 600))
}
process.exit(0)
