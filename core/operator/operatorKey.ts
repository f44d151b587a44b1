/** The operator's key pair: made on the first start, kept in a Secret, the same for every replica and for ever. */
import { type Duration, Effect } from "effect"
import { Base64 } from "effect/encoding"
import { keptSecret } from "../kube/keptSecret.ts"
import { KubeApiError } from "../kube/KubeApi.ts"
import { SecureRandom } from "../link/SecureRandom.ts"

export const operatorKeySecret = "aranya-identity"
const entry = "private-key"
const keyBytes = 32

/** Fails where the Secret is there and holds no key: a new one would lock every device out. */
export const operatorKey = Effect.fnUntraced(function*(
  namespace: string,
  options: { readonly patience?: Duration.Input } = {}
) {
  const random = yield* SecureRandom
  const secret = yield* keptSecret("the operator's key", { namespace, name: operatorKeySecret }, {
    make: Effect.map(random.bytes(keyBytes), (key) => ({
      type: "arhat.dev/operator-identity",
      immutable: true,
      data: { [entry]: Base64.encode(key) }
    })),
    patience: options.patience
  })
  const key = Base64.decode(secret.data?.[entry] ?? "")
  if (key._tag === "Success" && key.success.length === keyBytes) return key.success
  return yield* new KubeApiError({
    reason: "Undecodable",
    status: 0,
    detail:
      `Secret ${namespace}/${operatorKeySecret} must hold ${keyBytes} bytes under ${entry}: restore it from a backup; `
      + "devices trust that key and no other"
  })
})
