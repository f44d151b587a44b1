/** What the operator's own configuration file may say of its links. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { AranyaConfig } from "../../../apps/aranya/AranyaConfig.ts"
import { linkTimings } from "../../../apps/aranya/runOperator.ts"
import { decodeConfig } from "../../../core/config/decodeConfig.ts"
import { defaultTimings } from "../../../core/link/LinkTimings.ts"

const decode = (text: string) => decodeConfig(AranyaConfig)("aranya.yaml", text, () => undefined)

describe("the operator's configuration", () => {
  it.effect("keeps sessions for 5 minutes and beats every 90 seconds, as the links' own defaults do", () =>
    Effect.gen(function*() {
      const config = yield* decode("")
      assert.strictEqual(Duration.format(config.connectivity.sessionTimeout), "5m")
      assert.strictEqual(Duration.format(config.connectivity.beatInterval), "1m 30s")
      assert.deepStrictEqual(linkTimings(config), defaultTimings)
    }))

  it.effect("gives the links what the file says, in whole milliseconds", () =>
    Effect.gen(function*() {
      const timings = linkTimings(yield* decode("connectivity:\n  sessionTimeout: 1h\n  beatInterval: 2500.4ms\n"))
      assert.deepStrictEqual(timings, { ...defaultTimings, sessionTimeoutMillis: 3_600_000, beatMillis: 2500 })
    }))

  it.effect("takes the least and the most there may be", () =>
    Effect.gen(function*() {
      const least = linkTimings(yield* decode("connectivity:\n  sessionTimeout: 1s\n  beatInterval: 1s\n"))
      assert.strictEqual(least.sessionTimeoutMillis, 1000)
      assert.strictEqual(least.beatMillis, 1000)
      const most = linkTimings(yield* decode("connectivity:\n  sessionTimeout: 24h\n  beatInterval: 1h\n"))
      assert.strictEqual(most.sessionTimeoutMillis, 86_400_000)
      assert.strictEqual(most.beatMillis, 3_600_000)
    }))

  it.effect("refuses what is too short, too long or no duration with one sentence that names the key", () =>
    Effect.gen(function*() {
      const refusal = (connectivity: string) =>
        Effect.map(Effect.flip(decode(`connectivity:\n  ${connectivity}\n`)), ({ message }) => message)
      for (const bad of ["999ms", "0", "24h1s"]) {
        assert.strictEqual(
          yield* refusal(`sessionTimeout: ${JSON.stringify(bad)}`),
          "aranya.yaml: connectivity.sessionTimeout: must be from 1s to 24h"
        )
      }
      for (const bad of ["999ms", "0s", "61m"]) {
        assert.strictEqual(
          yield* refusal(`beatInterval: ${bad}`),
          "aranya.yaml: connectivity.beatInterval: must be from 1s to 1h"
        )
      }
      assert.strictEqual(
        yield* refusal("beatInterval: -5s"),
        "aranya.yaml: connectivity.beatInterval: expected a duration such as 10s or 1h30m"
      )
      assert.match(yield* refusal("beatInterval: 90"), /^aranya\.yaml: connectivity\.beatInterval: /)
    }))
})
