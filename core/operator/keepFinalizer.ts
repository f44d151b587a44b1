/** Keeps the finalizer of an EdgeDevice, which whoever replaces the object takes away unknowingly: without it nobody takes leave of the device. */
import { Effect, FiberHandle, Schedule } from "effect"
import type { EdgeDevice } from "../device/EdgeDevice.ts"
import { DeviceRegistry } from "./DeviceRegistry.ts"
import { addFinalizer, finalizer } from "./farewell.ts"
import { tellRefusals } from "./tellRefusals.ts"

const again = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")]).pipe(Schedule.jittered)

/** Who takes it away each time it is there is not answered more often than this. */
const pause = "10 seconds"

/** Answers with what is to be called when the object has changed. */
export const keepFinalizer = Effect.fnUntraced(function*(device: EdgeDevice, holds: () => boolean) {
  const registry = yield* DeviceRegistry
  const key = `${device.namespace}/${device.name}`
  const adding = yield* FiberHandle.make()
  const add = Effect.provideService(addFinalizer(device), DeviceRegistry, registry)

  const isMissing = () => {
    const metadata = registry.get(key)?.metadata
    return metadata?.uid === device.uid && metadata.deletionTimestamp === undefined && holds() &&
      !(metadata.finalizers ?? []).includes(finalizer)
  }
  const addAll = Effect.gen(function*() {
    while (isMissing()) {
      yield* add.pipe(
        tellRefusals(`EdgeDevice ${key} could be deleted without a word to its device: its finalizer`),
        Effect.retry({ schedule: again, while: isMissing }),
        // It is gone, or another process's by now.
        Effect.catch(() => Effect.void)
      )
      yield* Effect.sleep(pause)
    }
  })
  return Effect.suspend(() =>
    isMissing() ? Effect.asVoid(FiberHandle.run(adding, addAll, { onlyIfMissing: true })) : Effect.void
  )
})
