/** A program whose lives are told: each begins and ends, `life-2 begins` and `life-2 ends`. */
import { Effect } from "effect"
import type { TraceEvent } from "./trace.ts"
import type { Program } from "./World.ts"

export const withLivesTold = (program: Program, tell: (text: string, kind: TraceEvent["kind"]) => void): Program => {
  let life = 0
  let alive = false
  const end = () => {
    if (alive) tell(`life-${life} ends`, "ended")
    alive = false
  }
  const begin = () => {
    end()
    alive = true
    tell(`life-${++life} begins`, "began")
  }
  return {
    ...program,
    start: Effect.suspend(() => {
      begin()
      return program.start
    }),
    kill: Effect.suspend(() => {
      end()
      return program.kill
    }),
    up: Effect.suspend(() => {
      if (!alive) begin()
      return program.up
    })
  }
}
