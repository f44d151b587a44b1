/** Measures host and pods when the operator asks, and never else; tells what differs from the sample that it has. */
import { Clock, Effect } from "effect"
import { PodRuntime } from "../pod/PodRuntime.ts"
import type { Reply } from "../wire/Reply.ts"
import { shortened, type UsageFigures, usageFigures } from "../wire/usage.ts"
import { HostFacts } from "./HostFacts.ts"

/** From the `base` of the operator's question to the answer. */
export const measuring = Effect.gen(function*() {
  const host = yield* HostFacts
  const runtime = yield* PodRuntime
  let told: UsageFigures | undefined

  return Effect.fnUntraced(
    function*(base: number) {
      const pods = yield* runtime.usage
      const usage = yield* host.usage
      const now = yield* Clock.currentTimeMillis
      // It names the sample, also where the wall clock was put back.
      const at = now === told?.at ? now + 1 : now
      const figures = usageFigures({ at, host: usage, pods })
      const reply: Reply = {
        _tag: "Usage",
        figures: told === undefined || told.at !== base ? figures : shortened(figures, told)
      }
      told = figures
      return reply
    },
    Effect.catch(({ message }) =>
      Effect.succeed<Reply>({
        _tag: "Failure",
        code: "Unavailable",
        detail: `containers cannot be measured: ${message}`
      })
    )
  )
})
