/**
 * An EdgeDevice that is not served, as it cannot be understood: the sentences go to its status, and what that says of the device is
 * taken back where nobody else serves it.
 */
import { Clock, Effect, Schedule } from "effect"
import type { EdgeDeviceCondition, EdgeDeviceObject } from "../device/EdgeDevice.ts"
import { DeviceRegistry } from "./DeviceRegistry.ts"
import { type ConditionDraft, saysTheSame, withConditions } from "./deviceStatus.ts"
import { leaseWatch, standByMillis, takeOverMillis } from "./leaseWatch.ts"

const again = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")]).pipe(Schedule.jittered)

/** Another process that stands by takes the device within this, and speaks for it. */
const abandonedMillis = takeOverMillis + 1.5 * standByMillis

/** What nobody sees to while the device is not served. */
const seenTo: ReadonlyArray<ConditionDraft> = (["BrokerConnected", "Connected", "Ready"] as const).map((type) => ({
  type,
  status: "False",
  reason: "SpecInvalid",
  message: "the device is not served: its EdgeDevice cannot be understood"
}))

/** Ends once there is nothing more to say, or another spec to judge. To be begun anew when the object has changed. */
export const rejectSpec = Effect.fnUntraced(function*(object: EdgeDeviceObject, sentences: string) {
  const registry = yield* DeviceRegistry
  const { generation = 0, name = "", namespace = "", uid = "" } = object.metadata
  const key = `${namespace}/${name}`
  /** Nobody else says it: it is tried until it is said, or there is another spec to judge. */
  const stands = () => {
    const current = registry.get(key)?.metadata
    return current?.uid === uid && (current.generation ?? 0) === generation
  }
  const invalid: ConditionDraft = { type: "Invalid", status: "True", reason: "SpecInvalid", message: sentences }
  const untrue = (conditions: ReadonlyArray<EdgeDeviceCondition> = []) => {
    const holds = (type: string) => conditions.some((each) => each.type === type && each.status === "True")
    // Whoever holds a device whose Node is another's has no Lease to renew.
    return holds("NameConflict") ? [] : seenTo.filter(({ type }) => holds(type))
  }

  const say = Effect.fnUntraced(function*(
    drafts: (conditions: ReadonlyArray<EdgeDeviceCondition> | undefined) => ReadonlyArray<ConditionDraft>
  ) {
    const now = yield* Clock.currentTimeMillis
    yield* registry.swapStatus({ key, uid }, (before, written) => {
      if (!stands() || (written.metadata.generation ?? 0) !== generation) return undefined
      const after = {
        ...before,
        observedGeneration: generation,
        conditions: withConditions(before.conditions ?? [], [invalid, ...drafts(before.conditions)], {
          now,
          generation
        })
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

  yield* say(() => [])
  const lease = yield* leaseWatch(name)
  const isAbandoned = lease.unchangedFor(abandonedMillis).pipe(
    Effect.catch((error) => Effect.as(Effect.logDebug(`Lease of ${key}: ${error.message}`), false))
  )
  while (stands() && untrue(registry.get(key)?.status?.conditions).length > 0) {
    if (yield* isAbandoned) return yield* say(untrue)
    yield* Effect.sleep(standByMillis)
  }
})
