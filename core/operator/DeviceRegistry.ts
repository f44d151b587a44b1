/** All EdgeDevice objects as last seen, and a way to change the status of one by compare-and-swap. */
import { Context, Deferred, Effect, Layer, Queue, Stream } from "effect"
import { type EdgeDeviceObject, EdgeDevices, type EdgeDeviceStatus } from "../device/EdgeDevice.ts"
import { KubeApi, KubeApiError } from "../kube/KubeApi.ts"

export const deviceKey = (namespace: string, name: string) => `${namespace}/${name}`

/** Tries of a compare-and-swap that meets others' writes. */
const swapTries = 10

export class DeviceRegistry extends Context.Service<DeviceRegistry, {
  readonly synced: Effect.Effect<void>
  readonly get: (key: string) => EdgeDeviceObject | undefined
  readonly keys: () => ReadonlyArray<string>
  /** Keys of devices that appeared, changed or went; the first list too. One subscriber. */
  readonly changes: Stream.Stream<string>
  /**
   * Writes `status` as `change` returns it, only if nobody wrote in between (else reads again and asks again). Undefined
   * from `change` writes nothing. Fails with NotFound once the object is gone or is another one of the same name.
   */
  readonly swapStatus: (
    device: { readonly key: string; readonly uid: string },
    change: (status: EdgeDeviceStatus) => EdgeDeviceStatus | undefined
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

      const learn = (object: EdgeDeviceObject) => {
        const known = devices.get(keyOf(object))
        const newer = Number(object.metadata.resourceVersion ?? 0)
        if (known !== undefined && Number(known.metadata.resourceVersion ?? 0) > newer) return
        devices.set(keyOf(object), object)
      }

      yield* api.observe(EdgeDevices).pipe(
        Stream.runForEach((observation) =>
          Effect.suspend(() => {
            if (observation._tag === "Synced") return Deferred.succeed(synced, undefined)
            if (observation._tag === "Set") learn(observation.object)
            else devices.delete(keyOf(observation.object))
            return tell(keyOf(observation.object))
          })
        ),
        Effect.forkScoped
      )

      const gone = (key: string) =>
        new KubeApiError({ reason: "NotFound", status: 404, detail: `EdgeDevice ${key} is gone` })

      const swapStatus = Effect.fnUntraced(function*(
        device: { readonly key: string; readonly uid: string },
        change: (status: EdgeDeviceStatus) => EdgeDeviceStatus | undefined
      ) {
        const [namespace, name] = device.key.split("/") as [string, string]
        let object = devices.get(device.key) ?? (yield* api.get(EdgeDevices, { namespace, name }))
        for (let tries = 0; tries < swapTries; tries++) {
          if (object.metadata.uid !== device.uid) return yield* gone(device.key)
          const status = change(object.status ?? {})
          if (status === undefined) return object
          const written = yield* api.replace(EdgeDevices, { ...object, status }, { subresource: "status" }).pipe(
            Effect.catch((error) => error.reason === "Conflict" ? Effect.undefined : Effect.fail(error))
          )
          if (written !== undefined) {
            learn(written)
            return written
          }
          object = yield* api.get(EdgeDevices, { namespace, name })
        }
        return yield* new KubeApiError({
          reason: "Unavailable",
          status: 409,
          detail: `the status of EdgeDevice ${device.key} changes too often to be written`
        })
      })

      return DeviceRegistry.of({
        synced: Deferred.await(synced),
        get: (key) => devices.get(key),
        keys: () => [...devices.keys()],
        changes: Stream.fromEffectRepeat(Queue.take(rung)).pipe(
          Stream.flatMap(() => {
            const keys = [...dirty]
            dirty.clear()
            return Stream.fromIterable(keys)
          })
        ),
        swapStatus
      })
    })
  )
}
