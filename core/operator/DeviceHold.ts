/** Whether this process is the one that speaks for a device: whoever took it last, under the epoch that it was taken with. */
import { Effect } from "effect"
import { EdgeDevices } from "../device/EdgeDevice.ts"
import { KubeApi, type KubeApiError } from "../kube/KubeApi.ts"
import { deviceKey, DeviceRegistry } from "./DeviceRegistry.ts"
import { OperatorIdentity } from "./OperatorIdentity.ts"

export interface DeviceHold {
  /** The epoch under which it does, as far as the watch has told; undefined while another process does. */
  readonly epoch: () => number | undefined
  /** Whether it still does under this epoch: asks the API itself, as the watch may be late. */
  readonly stands: (epoch: number) => Effect.Effect<boolean, KubeApiError>
  /** The same for the epoch that the watch has told last; to be asked after what is judged by it was read. */
  readonly standsYet: Effect.Effect<boolean, KubeApiError>
}

export const deviceHold = Effect.fnUntraced(function*(
  { name, namespace, uid }: { readonly namespace: string; readonly name: string; readonly uid: string }
) {
  const api = yield* KubeApi
  const registry = yield* DeviceRegistry
  const identity = yield* OperatorIdentity
  const key = deviceKey(namespace, name)
  const epoch = () => {
    const link = registry.get(key)?.status?.link
    return link?.holder === identity.holder ? link.epoch ?? 0 : undefined
  }
  const stands = (epoch: number) =>
    api.get(EdgeDevices, { namespace, name }).pipe(
      Effect.map(({ metadata, status }) =>
        metadata.uid === uid && status?.link?.holder === identity.holder && (status.link.epoch ?? 0) === epoch
      ),
      Effect.catch((error) => error.reason === "NotFound" ? Effect.succeed(false) : Effect.fail(error))
    )
  const standsYet = Effect.suspend(() => {
    const now = epoch()
    return now === undefined ? Effect.succeed(false) : stands(now)
  })
  return { epoch, stands, standsYet } satisfies DeviceHold
})
