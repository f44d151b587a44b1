/** What every SecureRandom must give, also the one of simulations that a seed replays. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { SecureRandom } from "../../core/link/SecureRandom.ts"

export const secureRandomContract = (name: string, layer: Layer.Layer<SecureRandom>): void => {
  describe(`${name} as a SecureRandom`, () => {
    it.live("gives as many bytes as asked for, none when none are", () =>
      Effect.gen(function*() {
        const { bytes } = yield* SecureRandom
        for (const length of [0, 1, 12, 32, 4096]) assert.lengthOf(yield* bytes(length), length)
      }).pipe(Effect.provide(layer)))

    it.live("never gives the same key twice, and each its own memory", () =>
      Effect.gen(function*() {
        const { bytes } = yield* SecureRandom
        const keys = yield* Effect.forEach(Array.from({ length: 200 }), () => bytes(16))
        assert.strictEqual(new Set(keys.map((key) => Buffer.from(key).toString("hex"))).size, 200)
        const [first = new Uint8Array(), second = new Uint8Array()] = keys
        const before = Buffer.from(second).toString("hex")
        first.fill(0)
        assert.strictEqual(Buffer.from(second).toString("hex"), before)
      }).pipe(Effect.provide(layer)))

    it.live("leaves out no value of a byte", () =>
      Effect.gen(function*() {
        // A value is missing by chance once in e^244 runs.
        const many = yield* (yield* SecureRandom).bytes(64 * 1024)
        assert.strictEqual(new Set(many).size, 256)
      }).pipe(Effect.provide(layer)))
  })
}
