/** The operator's key pair: made on the first start, kept in a Secret, the same for every replica and for ever. */
import { Effect, Schedule } from "effect"
import { Base64 } from "effect/encoding"
import { type Secret, Secrets } from "../kube/kinds.ts"
import { KubeApi, KubeApiError } from "../kube/KubeApi.ts"
import { SecureRandom } from "../link/SecureRandom.ts"

export const operatorKeySecret = "aranya-identity"
const entry = "private-key"
const keyBytes = 32

/** Fails where the Secret is there and holds no key: a new one would lock every device out. */
export const operatorKey = Effect.fnUntraced(function*(namespace: string) {
  const api = yield* KubeApi
  const random = yield* SecureRandom
  const at = { namespace, name: operatorKeySecret }

  const read = Effect.fnUntraced(function*(secret: Secret) {
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

  const make = Effect.gen(function*() {
    const key = yield* random.bytes(keyBytes)
    return yield* api.create(Secrets, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: at,
      type: "arhat.dev/operator-identity",
      immutable: true,
      data: { [entry]: Base64.encode(key) }
    })
  })

  return yield* api.get(Secrets, at).pipe(
    Effect.catch((error) => error.reason === "NotFound" ? make : Effect.fail(error)),
    Effect.flatMap(read),
    // Another replica was faster: its key is the key.
    Effect.retry({
      schedule: Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("10 seconds")]),
      while: (error) => error.retryable || error.reason === "AlreadyExists"
    })
  )
})
