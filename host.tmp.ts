import { Effect } from "effect"
import { NodeHostFacts } from "./adapters/store/NodeHostFacts.ts"
import { HostFacts } from "./core/agent/HostFacts.ts"
Effect.runPromise(
  Effect.gen(function*() {
    const h = yield* HostFacts
    let before: any = {}
    for (let i = 0; i < 30; i++) {
      const now: any = { ...(yield* h.info), ...(yield* h.pressure) }
      for (const k of Object.keys(now)) {
        if (JSON.stringify(now[k]) !== JSON.stringify(before[k]) && i > 0) {
          console.log(new Date().toISOString(), k, JSON.stringify(before[k]), "->", JSON.stringify(now[k]))
        }
      }
      before = now
      yield* Effect.sleep("4 seconds")
    }
  }).pipe(Effect.provide(NodeHostFacts.layer({ storage: "/tmp" })))
)
