/** Many storms over worlds of one device, which cost little: each profile several times. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { storm } from "./storm.ts"

const first = 910_001
const each = 17
const turns = 8

describe("small storms", () => {
  for (let turn = 0; turn < turns; turn++) {
    const seeds = Array.from({ length: each }, (_, i) => first + turn * each + i)
    it.live(
      `of seeds ${seeds[0]} to ${seeds.at(-1)} are weathered`,
      () =>
        Effect.forEach(
          seeds,
          (seed) =>
            Effect.map(storm({ seed, size: "small" }), ({ failure, story }) =>
              assert.strictEqual(
                failure,
                undefined,
                `npm run simulate -- --seed ${seed} --size small\n${story.slice(-40).join("\n")}`
              )),
          { discard: true }
        ),
      600_000
    )
  }
})
