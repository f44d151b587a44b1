/** A device whose journal has a leash that it cannot read rests, until its operator says what it may. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { atHome, eventually, inScene } from "./scene.ts"

describe("a leash that cannot be read", () => {
  it.live.each([
    { name: "a leash", partition: { stopWorkloadsAfter: "10m" } },
    { name: "none", partition: {} }
  ])(
    "holds workloads until the operator is there, under a policy of $name",
    ({ partition }) =>
      inScene(partition, ({ allReady, apart, first, names, wait }) =>
        Effect.gen(function*() {
          yield* wait("1 minute")
          yield* apart(true)
          yield* first.agent.kill
          yield* first.putRows("link", [{ key: "leash", value: new Uint8Array(64).fill(0xff) }])
          yield* first.agent.start
          const running = Effect.map(
            first.runtime.runs,
            (all) => all.filter(({ finishedAt }) => finishedAt === undefined).length
          )
          yield* eventually(running, (many) => many === 0)
          yield* apart(false)
          yield* eventually(running, (many) => many === 4)
          yield* allReady(5)
          assert.deepStrictEqual(yield* names, atHome)
        }))
  )
})
