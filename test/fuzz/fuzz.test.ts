/** A few of the inputs of `npm run fuzz`, so that a fault it once found cannot come back unseen. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeDice } from "./Dice.ts"
import { finding, type FuzzedLayer } from "./FuzzedLayer.ts"
import { httpLayer } from "./httpLayer.ts"
import { runFuzz } from "./runFuzz.ts"
import { spdyLayer } from "./spdyLayer.ts"
import { webSocketLayer } from "./webSocketLayer.ts"

const seeds = [1, 2]

describe("bytes from anybody", () => {
  it.live.each([["spdy", spdyLayer], ["websocket", webSocketLayer], ["http", httpLayer]] as const)(
    "neither crash, nor hang, nor fill the %s layer",
    ([, make]) =>
      Effect.gen(function*() {
        const layer = yield* make
        for (const seed of seeds) {
          const figures = yield* runFuzz(layer, { seed, first: 0, times: 1500, sessionEvery: 5 })
          assert.strictEqual(figures.done, 1500)
        }
        assert.isAbove(layer.ends.size, 1, "not all of them come to the same end")
      }).pipe(Effect.scoped),
    180_000
  )

  it.live("leave no answer behind where an upgrade or CONNECT follows requests that are still answered", () =>
    Effect.gen(function*() {
      const layer = yield* httpLayer
      for (const [seed, first] of [[77, 127_225], [7, 30_000], [7, 575_925], [8, 145_225], [8, 475_975]] as const) {
        const { done } = yield* runFuzz(layer, { seed, first, times: 1, sessionEvery: 25 })
        assert.strictEqual(done, 1)
      }
    }).pipe(Effect.scoped))

  it.live("that do are found, with their number", () =>
    Effect.gen(function*() {
      const broken = (attempt: FuzzedLayer["attempt"]): FuzzedLayer => ({
        name: "spdy",
        ends: new Map(),
        attempt,
        glance: attempt
      })
      const run = (layer: FuzzedLayer) =>
        Effect.flip(runFuzz(layer, { seed: 1, first: 40, times: 50, sessionEvery: 1 }))
      const input = Buffer.from("input")
      const hangs = yield* run(broken((dice) => Effect.fail(finding(`hangs ${dice.below(1)}`, input))))
      assert.deepInclude(hangs, { index: 40, what: "hangs 0", input: input.toString("hex") })
      const hoarded: Array<Uint8Array> = []
      const greedy = yield* run(broken(() =>
        Effect.sync(() => {
          hoarded.push(new Uint8Array(20 * 1024 * 1024))
          return input
        })
      ))
      assert.match(greedy.what, /it took \d+ bytes at once, 16777216 are allowed/)
      const careless = yield* run(broken(() =>
        Effect.callback((resume) => {
          void Promise.reject(new Error("nobody waits for this"))
          setTimeout(() => resume(Effect.succeed(input)), 10)
        })
      ))
      assert.match(careless.what, /nobody caught .*nobody waits for this/)
    }))

  it("are the same for the same seed and number, and others for others", () => {
    const bytes = (seed: number, index: number) => makeDice(seed, index).bytes(16).toString("hex")
    assert.strictEqual(bytes(1, 5), bytes(1, 5))
    assert.strictEqual(new Set([bytes(1, 5), bytes(2, 5), bytes(1, 6), bytes(2, 6)]).size, 4)
  })
})
