import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { parseTimestamp } from "../../../core/kube/time.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { worldLayerWith } from "../../simulation/World.ts"
import { oneDevice, operated } from "./oneDevice.ts"

describe("the last contact of a device", () => {
  it.live(
    "is when it was found gone, and costs a device that is there or away no writes",
    () =>
      simulate(1, () =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          const device = yield* oneDevice
          yield* operated(device, api)
          const object = api.get(EdgeDevices, { namespace: "edge", name: "edge-1" })
          yield* Effect.sleep("10 minutes")
          const { metadata: { resourceVersion } } = yield* object
          yield* Effect.sleep("1 hour")
          assert.strictEqual((yield* object).metadata.resourceVersion, resourceVersion)
          const cutAt = yield* Clock.currentTimeMillis
          yield* device.transport.weather({ blackHole: true })
          yield* Effect.sleep("4 minutes")
          const left = yield* object
          const heardAt = parseTimestamp(left.status?.lastContact) ?? 0
          assert.isAtLeast(heardAt, cutAt - 1000)
          assert.isAtMost(heardAt, cutAt + 3 * 60_000)
          // Nor does the end of its session.
          yield* Effect.sleep("1 hour")
          assert.strictEqual((yield* object).metadata.resourceVersion, left.metadata.resourceVersion)
        }).pipe(Effect.scoped, Effect.provide(worldLayerWith("quick")), Effect.orDie)),
    60_000
  )
})
