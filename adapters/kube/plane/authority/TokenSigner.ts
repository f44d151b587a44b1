/** The port that makes and checks the signature of service account tokens; claims are decided elsewhere. */
import { Context, Effect, Layer } from "effect"
import type { JsonObject } from "../object/json.ts"

export class TokenSigner extends Context.Service<TokenSigner, {
  /** A compact JWT (RFC 7519) over the claims. */
  readonly sign: (claims: JsonObject) => Effect.Effect<string>
  /** The claims of a token this signer made; undefined for any other text. Times are not checked here. */
  readonly verify: (token: string) => Effect.Effect<JsonObject | undefined>
}>()("aranya/plane/TokenSigner") {
  /** Remembers instead of signing: for simulations, where a token only has to be unforgeable by accident. */
  static readonly layerMemory = Layer.sync(TokenSigner, () => {
    const issued = new Map<string, JsonObject>()
    return TokenSigner.of({
      sign: (claims) =>
        Effect.sync(() => {
          const token = `memory.${issued.size + 1}.${String(claims["sub"])}`
          issued.set(token, claims)
          return token
        }),
      verify: (token) => Effect.sync(() => issued.get(token))
    })
  })
}
