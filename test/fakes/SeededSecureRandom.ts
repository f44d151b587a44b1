/** Keys and nonces from Effect's Random, so that a seed replays them. For simulations only: nothing here is secret. */
import { Effect, Layer, Random } from "effect"
import { SecureRandom } from "../../core/link/SecureRandom.ts"

export const SeededSecureRandom = {
  layer: Layer.succeed(
    SecureRandom,
    SecureRandom.of({
      bytes: (length) =>
        Effect.map(
          Effect.forEach(Array.from({ length }), () => Random.nextIntBetween(0, 255)),
          (bytes) => Uint8Array.from(bytes)
        )
    })
  )
}
