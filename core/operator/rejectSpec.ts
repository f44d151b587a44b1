/** An EdgeDevice that cannot be understood: the sentences go to its status; what was there before goes on as it was. */
import { Clock, Effect, Schedule } from "effect"
import type { EdgeDeviceObject } from "../device/EdgeDevice.ts"
import { DeviceRegistry } from "./DeviceRegistry.ts"
import { saysTheSame, withConditions } from "./deviceStatus.ts"

const again = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")]).pipe(Schedule.jittered)

export const rejectSpec = Effect.fnUntraced(function*(object: EdgeDeviceObject, sentences: string) {
  const registry = yield* DeviceRegistry
  const { generation = 0, name = "", namespace = "", uid = "" } = object.metadata
  const now = yield* Clock.currentTimeMillis
  yield* registry.swapStatus({ key: `${namespace}/${name}`, uid }, (before) => {
    const after = {
      ...before,
      observedGeneration: generation,
      conditions: withConditions(before.conditions ?? [], [
        { type: "Invalid", status: "True", reason: "SpecInvalid", message: sentences }
      ], { now, generation })
    }
    return saysTheSame(before, after) ? undefined : after
  }).pipe(
    Effect.retry({ schedule: again, times: 5, while: (error) => error.retryable }),
    Effect.catch((error) =>
      Effect.logWarning(`EdgeDevice ${namespace}/${name} is invalid (${sentences}); its status: ${error.message}`)
    )
  )
})
