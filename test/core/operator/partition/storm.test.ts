/**
 * Hours of cuts, crashes, reboots and edits of the policy, drawn from a seed: a pod of a StatefulSet never runs twice while
 * stopWorkloadsAfter is less than replaceAfter, and under keep nothing is ever given up.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { uniform } from "../../../simulation/uniform.ts"
import { inScene } from "./scene.ts"

const replacing = [
  { stopWorkloadsAfter: "10m", replaceAfter: "11m", notReadyAfter: "4m" },
  { stopWorkloadsAfter: "6m", replaceAfter: "20m", notReadyAfter: "1m" },
  { stopWorkloadsAfter: "3m", replaceAfter: "5m", notReadyAfter: null }
]
const keeping = [{}, { notReadyAfter: "2m" }, { stopWorkloadsAfter: "4m" }, { stopWorkloadsAfter: null }]

const storm = (
  seed: number,
  policies: ReadonlyArray<object>,
  end: (given: {
    readonly twice: boolean
    readonly names: ReadonlyArray<string>
    readonly story: string
  }) => void
) =>
  inScene(policies[0] ?? {}, ({ apart, edit, first, names, operator, running, twice, wait }) =>
    Effect.gen(function*() {
      const chance = uniform(seed ^ 0x51a7)
      const story: Array<string> = []
      const least = Math.floor
      const deeds = {
        cut: Effect.gen(function*() {
          yield* apart(true)
          yield* wait(Duration.seconds(least(chance() * 2400)))
          yield* apart(false)
        }),
        agent: Effect.gen(function*() {
          yield* first.agent.kill
          yield* wait(Duration.seconds(least(chance() * 40)))
          yield* first.agent.start
        }),
        reboot: Effect.gen(function*() {
          yield* apart(chance() < 0.7)
          yield* first.agent.kill
          yield* first.runtime.powerOff("exited")
          yield* first.host.reboot
          yield* wait(Duration.seconds(least(chance() * 1500)))
          yield* first.runtime.startEngine
          yield* first.agent.start
          yield* wait(Duration.seconds(least(chance() * 1500)))
          yield* apart(false)
        }),
        operator: Effect.gen(function*() {
          yield* operator.kill
          yield* wait(Duration.seconds(least(chance() * 900)))
          yield* operator.start
        }),
        policy: Effect.suspend(() => edit(policies[least(chance() * policies.length)] ?? {}))
      }
      const what = Object.keys(deeds) as ReadonlyArray<keyof typeof deeds>
      for (let i = 0; i < 8; i++) {
        const deed = what[least(chance() * (i < 1 ? 1 : what.length))] ?? "cut"
        story.push(deed)
        yield* deeds[deed]
        yield* wait(Duration.seconds(least(chance() * 600)))
      }
      yield* apart(false)
      yield* wait("15 minutes")
      const alive = (yield* running).filter((each) => each.startsWith("store-0"))
      assert.lengthOf(alive, 1, `seed ${seed}: ${story.join(", ")}`)
      end({ twice: yield* twice, names: yield* names, story: `seed ${seed}: ${story.join(", ")}` })
    }), { seed })

const seeds = Array.from({ length: Number(process.env["PARTITION_SEEDS"] ?? "3") }, (_, i) => i + 1)

describe("a storm of absences", () => {
  it.live("never runs a StatefulSet's pod twice", () =>
    Effect.forEach(
      seeds,
      (seed) => storm(seed, replacing, ({ story, twice }) => assert.isFalse(twice, story)),
      { discard: true }
    ), 1_800_000)

  it.live("gives nothing up where nothing is to be replaced", () =>
    Effect.forEach(
      seeds,
      (seed) =>
        storm(seed, keeping, ({ names, story }) => {
          assert.isEmpty(names.filter((each) => !/ a on edge-[12]$/u.test(each)), story)
          assert.lengthOf(names, 5, story)
        }),
      { discard: true }
    ), 1_800_000)
})
