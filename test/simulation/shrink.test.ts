import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Plan, planOf, planText, readPlan } from "./plan.ts"
import { kindOf, shrink } from "./shrink.ts"
import { storm } from "./storm.ts"
import { readable } from "./story.ts"
import { makeWorker, type Worker } from "./workers.ts"

/** Fails as long as the plan has these deeds. */
const failsWith = (...wanted: ReadonlyArray<string>) => (plan: Plan) =>
  Effect.succeed({
    failure: wanted.every((what) => plan.deeds.some((deed) => deed.what === what))
      ? `pod-${plan.deeds.length} (steady, ab12) is late after ${plan.lasts} s`
      : null
  })

describe("a plan", () => {
  it.live("that is written down and read again tells the same story", () =>
    Effect.gen(function*() {
      const plan = planOf({ seed: 5, size: "small" })
      const read = yield* readPlan(planText(plan))
      assert.deepStrictEqual(read, plan)
      assert.strictEqual((yield* storm({ seed: 0, plan: read })).hash, (yield* storm({ seed: 5, size: "small" })).hash)
    }))

  it.effect("that is no plan is refused", () =>
    Effect.gen(function*() {
      for (const text of ["", "{}", planText({ ...planOf({ seed: 1 }), lasts: -1 })]) {
        assert.strictEqual((yield* Effect.exit(readPlan(text)))._tag, "Failure")
      }
    }))
})

describe("shrinking", () => {
  it("takes two violations for the same when only names and numbers differ", () => {
    assert.strictEqual(
      kindOf("pod-1 (steady, 87f3) is gone from the API while main#0, side#2 still run"),
      kindOf("pod-12 (once, ab12) is gone from the API while main#1 still run")
    )
    assert.notStrictEqual(kindOf("node edge-1 is not ready"), kindOf("pod-1 (steady, 87f3) is still in the API"))
  })

  it.effect("leaves the deeds that matter, one device and a short storm", () =>
    Effect.gen(function*() {
      const plan = planOf({ seed: 1, size: "large" })
      const [rare = "", ...others] = [...new Set(plan.deeds.map(({ what }) => what))]
        .map((what) => [plan.deeds.filter((deed) => deed.what === what), what] as const)
        .toSorted(([a], [b]) => a.length - b.length).map(([, what]) => what)
      const play = failsWith(rare, others[0] ?? "")
      const shrunk = yield* shrink({ plan, outcome: yield* play(plan), play })
      assert.deepStrictEqual(new Set(shrunk.plan.deeds.map(({ what }) => what)), new Set([rare, others[0]]))
      assert.strictEqual(shrunk.plan.deeds.length, 2)
      assert.isTrue(shrunk.done)
      assert.isBelow(shrunk.plan.lasts, plan.lasts / 4)
    }))

  it.effect("comes to the same, however many storms are played at once", () =>
    Effect.gen(function*() {
      const plan = planOf({ seed: 2, size: "large" })
      const play = failsWith("create", plan.deeds.at(-1)?.what ?? "")
      const outcome = yield* play(plan)
      const [one, three] = yield* Effect.all([1, 3].map((atOnce) => shrink({ plan, outcome, play, atOnce })))
      assert.deepStrictEqual(three?.plan, one?.plan)
    }))

  it.effect("ends when its runs do", () =>
    Effect.gen(function*() {
      const plan = planOf({ seed: 1, size: "large" })
      const play = failsWith("create")
      const shrunk = yield* shrink({ plan, outcome: yield* play(plan), play, runs: 5 })
      assert.isAtMost(shrunk.runs, 5)
      assert.isFalse(shrunk.done)
    }))

  it.live(
    "brings a mistake of the product down to a few deeds",
    () =>
      Effect.gen(function*() {
        const worker: Worker = yield* makeWorker({ mutation: "finished-too-soon" })
        const sentence = "is gone from the API while"
        const storms = { size: "small", profile: "calm" } as const
        let seed = 4
        let outcome = yield* worker({ ...storms, seed, told: false })
        while (outcome.failure?.split("\n")[0]?.includes(sentence) !== true) {
          outcome = yield* worker({ ...storms, seed: ++seed, told: false })
        }
        const plan = planOf({ ...storms, seed })
        const play = (each: Plan) => worker({ seed, plan: each, told: false })
        const shrunk = yield* shrink({ plan, outcome, play, time: "30 seconds" })
        assert.include(shrunk.outcome.failure, sentence)
        // A pod that comes, and one more deed that takes it away.
        assert.isAtMost(shrunk.plan.deeds.length, 3)
        assert.isBelow(shrunk.plan.deeds.length, plan.deeds.length)
        assert.isBelow(readable(shrunk.outcome.events).length, 60)
        assert.strictEqual((yield* play(shrunk.plan)).hash, shrunk.outcome.hash)
      }).pipe(Effect.scoped),
    120_000
  )
})
