/**
 * Devices whose EdgeDevice was deleted while they were away: the key alone is remembered, so that such a device, when it comes
 * back, is told to stop and wipe instead of being a stranger. Kept in one ConfigMap, bounded, oldest forgotten first.
 */
import { Clock, Context, Effect, Layer, Stream } from "effect"
import { Hex } from "effect/encoding"
import { type ConfigMap, ConfigMaps } from "../kube/kinds.ts"
import { KubeApi } from "../kube/KubeApi.ts"
import { OperatorIdentity } from "./OperatorIdentity.ts"

const objectName = "aranya-revoked-devices"
/** A ConfigMap holds a megabyte; an entry is about 130 bytes. */
const most = 4000

export class Revocations extends Context.Service<Revocations, {
  readonly revoke: (device: string, publicKey: Uint8Array) => Effect.Effect<void>
  readonly isRevoked: (publicKey: Uint8Array) => boolean
  /** The key is in use again: the owner made an EdgeDevice for it anew. */
  readonly pardon: (publicKey: Uint8Array) => Effect.Effect<void>
}>()("aranya/operator/Revocations") {
  static readonly layer = Layer.effect(
    Revocations,
    Effect.gen(function*() {
      const api = yield* KubeApi
      const { namespace } = yield* OperatorIdentity
      const at = { namespace, name: objectName }

      const read = api.get(ConfigMaps, at).pipe(
        Effect.map((found): ConfigMap | undefined => found),
        Effect.catch((error) => error.reason === "NotFound" ? Effect.undefined : Effect.fail(error))
      )

      const change = Effect.fnUntraced(function*(edit: (data: Record<string, string>) => void) {
        const found = yield* read
        const data = { ...found?.data }
        edit(data)
        const keys = Object.keys(data).sort((a, b) => (data[a]!.split(" ")[0]! < data[b]!.split(" ")[0]! ? -1 : 1))
        for (const key of keys.slice(0, Math.max(0, keys.length - most))) delete data[key]
        if (found === undefined) {
          yield* api.create(ConfigMaps, { apiVersion: "v1", kind: "ConfigMap", metadata: at, data })
        } else {
          yield* api.replace(ConfigMaps, { ...found, data })
        }
      })

      const persist = (edit: (data: Record<string, string>) => void) =>
        change(edit).pipe(
          Effect.retry({
            times: 5,
            while: (error) => error.retryable || error.reason === "Conflict" || error.reason === "AlreadyExists"
          }),
          Effect.catch((error) => Effect.logError(`the list of revoked devices could not be written: ${error.message}`))
        )

      // Watched, so that asking costs nothing.
      let known: ConfigMap | undefined
      yield* api.observe(ConfigMaps, { namespace, fieldSelector: `metadata.name=${objectName}` }).pipe(
        Stream.runForEach((observation) =>
          Effect.sync(() => {
            if (observation._tag === "Set") known = observation.object
            if (observation._tag === "Deleted") known = undefined
          })
        ),
        Effect.forkScoped
      )
      const isRevoked = (publicKey: Uint8Array) => known?.data?.[Hex.encode(publicKey)] !== undefined

      return Revocations.of({
        revoke: Effect.fnUntraced(function*(device, publicKey) {
          const now = yield* Clock.currentTimeMillis
          yield* persist((data) => {
            data[Hex.encode(publicKey)] = `${now} ${device}`
          })
        }),
        isRevoked,
        pardon: (publicKey) =>
          isRevoked(publicKey) ? persist((data) => void delete data[Hex.encode(publicKey)]) : Effect.void
      })
    })
  )
}
