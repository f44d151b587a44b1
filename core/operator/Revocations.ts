/**
 * Devices whose EdgeDevice was deleted while they were away: the key alone is remembered, so that such a device, when it comes
 * back, is told to stop and wipe instead of being a stranger. Kept in one ConfigMap, bounded, oldest forgotten first.
 */
import { Clock, Context, Effect, Layer, Schedule, Semaphore, Stream } from "effect"
import { Hex } from "effect/encoding"
import { type ConfigMap, ConfigMaps } from "../kube/kinds.ts"
import { KubeApi, type KubeApiError } from "../kube/KubeApi.ts"
import { OperatorIdentity } from "./OperatorIdentity.ts"

const objectName = "aranya-revoked-devices"
/** A ConfigMap holds a megabyte; an entry is about 130 bytes, and never more than this and its key of 64. */
const most = 4000
const longestEntry = 180

const again = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")]).pipe(Schedule.jittered)

/** A device that is taken up again waits for its pardon meanwhile, in the middle of a handshake. */
const pardonedWithin = "3 seconds"

type Edit = (data: Record<string, string>) => void

export class Revocations extends Context.Service<Revocations, {
  /** Completes once it is written, however long that takes: a device of which nothing is remembered could never be told. */
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

      /** Not written yet, in order. */
      const wanted = new Set<Edit>()

      const write = Effect.gen(function*(): Effect.fn.Return<void, KubeApiError> {
        const edits = [...wanted]
        const found = yield* read
        const data = { ...found?.data }
        for (const edit of edits) edit(data)
        const keys = Object.keys(data).sort((a, b) => (data[a]!.split(" ")[0]! < data[b]!.split(" ")[0]! ? -1 : 1))
        for (const key of keys.slice(0, Math.max(0, keys.length - most))) delete data[key]
        if (found === undefined) {
          yield* api.create(ConfigMaps, { apiVersion: "v1", kind: "ConfigMap", metadata: at, data })
        } else {
          yield* api.replace(ConfigMaps, { ...found, data })
        }
        for (const edit of edits) wanted.delete(edit)
      })

      const patiently = write.pipe(
        Effect.tapError((error) =>
          error.reason === "Conflict" || error.reason === "AlreadyExists"
            ? Effect.void
            : Effect.logWarning(`the list of revoked devices could not be written: ${error.message}`)
        ),
        Effect.retry(again),
        Effect.orDie
      )

      /** Devices are deleted by the hundred, and a write for each would collide: whoever has the turn writes for all who wait. */
      const turn = Semaphore.makeUnsafe(1)
      const persist = (edit: Edit) =>
        Effect.suspend(() => {
          wanted.add(edit)
          return turn.withPermit(Effect.suspend(() => wanted.has(edit) ? patiently : Effect.void))
        }).pipe(Effect.ensuring(Effect.sync(() => wanted.delete(edit))))

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
            data[Hex.encode(publicKey)] = `${now} ${device}`.slice(0, longestEntry)
          })
        }),
        isRevoked,
        // One that stays in the list harms nobody: an EdgeDevice counts for more.
        pardon: (publicKey) =>
          isRevoked(publicKey)
            ? Effect.asVoid(Effect.timeoutOption(
              persist((data) => void delete data[Hex.encode(publicKey)]),
              pardonedWithin
            ))
            : Effect.void
      })
    })
  )
}
