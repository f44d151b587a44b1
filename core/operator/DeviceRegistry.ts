/** All EdgeDevice objects as last seen, and the one way to write to them: by compare-and-swap, for each object in turn. */
import { Context, Deferred, Effect, Layer, Queue, Stream } from "effect"
import { type EdgeDeviceObject, EdgeDevices, type EdgeDeviceStatus } from "../device/EdgeDevice.ts"
import { KubeApi, KubeApiError } from "../kube/KubeApi.ts"
import { makeTurns } from "../link/makeTurns.ts"

export const deviceKey = (namespace: string, name: string) => `${namespace}/${name}`

/** Tries of a compare-and-swap that meets others' writes. */
const swapTries = 10

/** Versions of one object are compared as numbers; the API allows that since 1.35 and every server before behaved so. */
const isNewer = (object: EdgeDeviceObject, than: EdgeDeviceObject) =>
  Number(object.metadata.resourceVersion ?? 0) > Number(than.metadata.resourceVersion ?? 0)

interface DeviceId {
  readonly key: string
  readonly uid: string
}

export class DeviceRegistry extends Context.Service<DeviceRegistry, {
  readonly synced: Effect.Effect<void>
  readonly get: (key: string) => EdgeDeviceObject | undefined
  readonly keys: () => ReadonlyArray<string>
  /** As the API itself has it, of which the watch need not have told yet. */
  readonly read: (key: string) => Effect.Effect<EdgeDeviceObject, KubeApiError>
  /** Keys of devices that appeared, changed or went; the first list too. One subscriber. */
  readonly changes: Stream.Stream<string>
  /**
   * Writes `status` as `change` returns it, only if nobody wrote in between (else reads again and asks again). Undefined
   * from `change` writes nothing. Fails with NotFound once the object is gone or is another one of the same name.
   */
  readonly swapStatus: (
    device: DeviceId,
    change: (status: EdgeDeviceStatus, object: EdgeDeviceObject) => EdgeDeviceStatus | undefined
  ) => Effect.Effect<EdgeDeviceObject, KubeApiError>
  /** The same for the finalizers. */
  readonly swapFinalizers: (
    device: DeviceId,
    change: (finalizers: ReadonlyArray<string>, object: EdgeDeviceObject) => ReadonlyArray<string> | undefined
  ) => Effect.Effect<EdgeDeviceObject, KubeApiError>
}>()("aranya/operator/DeviceRegistry") {
  static readonly layer = Layer.effect(
    DeviceRegistry,
    Effect.gen(function*() {
      const api = yield* KubeApi
      const synced = yield* Deferred.make<void>()
      const devices = new Map<string, EdgeDeviceObject>()
      const dirty = new Set<string>()
      const rung = yield* Queue.sliding<void>(1)

      const tell = (key: string) => {
        dirty.add(key)
        return Effect.asVoid(Queue.offer(rung, undefined))
      }
      const keyOf = (object: EdgeDeviceObject) => deviceKey(object.metadata.namespace ?? "", object.metadata.name ?? "")

      const see = (object: EdgeDeviceObject) => {
        const known = devices.get(keyOf(object))
        if (known === undefined || !isNewer(known, object)) devices.set(keyOf(object), object)
      }
      /** What an own write returned. It may come after the object is gone, and does not bring it back. */
      const learn = (object: EdgeDeviceObject) => {
        if (devices.get(keyOf(object))?.metadata.uid === object.metadata.uid) see(object)
      }

      yield* api.observe(EdgeDevices).pipe(
        Stream.runForEach((observation) =>
          Effect.suspend(() => {
            if (observation._tag === "Synced") return Deferred.succeed(synced, undefined)
            if (observation._tag === "Set") see(observation.object)
            else devices.delete(keyOf(observation.object))
            return tell(keyOf(observation.object))
          })
        ),
        Effect.forkScoped
      )

      const gone = (key: string) =>
        new KubeApiError({ reason: "NotFound", status: 404, detail: `EdgeDevice ${key} is gone` })

      const read = (key: string) => {
        const [namespace, name] = key.split("/") as [string, string]
        return Effect.tap(api.get(EdgeDevices, { namespace, name }), (found) => Effect.sync(() => learn(found)))
      }

      /** Own writes of one object do not meet each other: each begins with what the one before returned. */
      const inTurn = makeTurns()

      const swap = Effect.fnUntraced(function*(
        { key, uid }: DeviceId,
        /** The write that is due on this version; undefined when none is. */
        due: (object: EdgeDeviceObject) => Effect.Effect<EdgeDeviceObject, KubeApiError> | undefined
      ) {
        let object = devices.get(key) ?? (yield* read(key))
        for (let tries = 0; tries < swapTries; tries++) {
          if (object.metadata.uid !== uid) return yield* gone(key)
          const write = due(object)
          if (write === undefined) return object
          const written = yield* Effect.catch(
            write,
            (error) => error.reason === "Conflict" ? Effect.undefined : Effect.fail(error)
          )
          if (written !== undefined) {
            learn(written)
            return written
          }
          const known = devices.get(key)
          object = known !== undefined && isNewer(known, object) ? known : yield* read(key)
        }
        return yield* new KubeApiError({
          reason: "Unavailable",
          status: 409,
          detail: `EdgeDevice ${key} changes too often to be written`
        })
      })

      return DeviceRegistry.of({
        synced: Deferred.await(synced),
        get: (key) => devices.get(key),
        keys: () => [...devices.keys()],
        read,
        changes: Stream.fromEffectRepeat(Queue.take(rung)).pipe(
          Stream.flatMap(() => {
            const keys = [...dirty]
            dirty.clear()
            return Stream.fromIterable(keys)
          })
        ),
        swapStatus: (device, change) =>
          inTurn(
            device.key,
            swap(device, (object) => {
              const status = change(object.status ?? {}, object)
              return status && api.replace(EdgeDevices, { ...object, status }, { subresource: "status" })
            })
          ),
        swapFinalizers: (device, change) =>
          inTurn(
            device.key,
            swap(device, (object) => {
              const { name = "", namespace, resourceVersion } = object.metadata
              const finalizers = change(object.metadata.finalizers ?? [], object)
              return finalizers && api.patch(EdgeDevices, { namespace, name }, {
                type: "merge",
                body: { metadata: { resourceVersion, finalizers } }
              })
            })
          )
      })
    })
  )
}
