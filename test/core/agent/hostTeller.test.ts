import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeHostTeller } from "../../../core/agent/hostTeller.ts"
import { LinkError } from "../../../core/link/Session.ts"
import type { NodeReport } from "../../../core/wire/Event.ts"

describe("telling of the host", () => {
  it.effect("says what is so again after something else went unanswered: it may have been heard", () =>
    Effect.gen(function*() {
      let resting = true
      let answers = true
      const told: Array<boolean | undefined> = []
      const teller = makeHostTeller(
        Effect.sync(() => ({ resting }) as unknown as Omit<NodeReport, "at">),
        (report) =>
          Effect.suspend(() => {
            told.push(report.resting)
            return answers ? Effect.void : Effect.fail(new LinkError({ reason: "Timeout", detail: "no answer" }))
          })
      )
      yield* teller.look
      yield* teller.look
      assert.deepStrictEqual(told, [true], "nothing new")
      resting = false
      answers = false
      yield* Effect.flip(teller.look)
      resting = true
      answers = true
      yield* teller.look
      assert.deepStrictEqual(told, [true, false, true])
    }))
})
