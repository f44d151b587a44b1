import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { SecureRandom } from "../../core/link/SecureRandom.ts"
import { secureRandomContract } from "../contracts/secureRandom.ts"
import { SeededSecureRandom } from "./SeededSecureRandom.ts"

secureRandomContract("SeededSecureRandom", SeededSecureRandom.layer)

describe("SeededSecureRandom", () => {
  it.effect("says the same again for the same seed, and something else for another", () =>
    Effect.gen(function*() {
      const drawn = (seed: string) =>
        Effect.flatMap(SecureRandom, ({ bytes }) => bytes(32)).pipe(
          Random.withSeed(seed),
          Effect.provide(SeededSecureRandom.layer)
        )
      const first = yield* drawn("seven")
      assert.deepStrictEqual(yield* drawn("seven"), first)
      assert.notDeepEqual(yield* drawn("eight"), first)
    }))
})
