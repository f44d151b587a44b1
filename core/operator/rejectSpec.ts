/** An EdgeDevice that is not served, as it cannot be understood: the sentences go to its status. */
import { Clock, Effect, Schedule } from "effect"
import type { EdgeDeviceObject } from "../device/EdgeDevice.ts"
import { DeviceRegistry } from "./DeviceRegistry.ts"
import { saysTheSame, withConditions } from "./deviceStatus.ts"

const again = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")]).pipe(Schedule.jittered)

export const rejectSpec = Effect.fnUntraced(function*(object: EdgeDeviceObject, sentences: string) {
  const registry = yield* DeviceRegistry
  const { generation = 0, name = "", namespace = "", uid = "" } = object.metadata
  const key = `${namespace}/${name}`
  const now = yield* Clock.currentTimeMillis
  /** Nobody else says it: it is tried until it is said, or there is another spec to judge. */
  const stands = () => {
    const current = registry.get(key)?.metadata
    return current?.uid === uid && (current.generation ?? 0) === generation
  }
  yield* registry.swapStatus({ key, uid }, (before, written) => {
    if (!stands() || (written.metadata.generation ?? 0) !== generation) return undefined
    const after = {
      ...before,
      observedGeneration: generation,
      conditions: withConditions(before.conditions ?? [], [
        { type: "Invalid", status: "True", reason: "SpecInvalid", message: sentences }
      ], { now, generation })
    }
    return saysTheSame(before, after) ? undefined : after
  }).pipe(
    Effect.tapError((error) =>
      Effect.logWarning(`EdgeDevice ${key} is invalid (${sentences}); its status: ${error.message}`)
    ),
    Effect.retry({ schedule: again, while: (error) => error.retryable && stands() }),
    Effect.catch(() => Effect.void)
  )
})
