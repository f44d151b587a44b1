/** Keys, nonces and tokens come from here and from nowhere else; never from Effect's Random, which a seed can replay. */
import { Context, type Effect } from "effect"

export class SecureRandom extends Context.Service<SecureRandom, {
  readonly bytes: (length: number) => Effect.Effect<Uint8Array>
}>()("aranya/link/SecureRandom") {}
