/** A device that is let in by an API whose answers come too late for it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type EdgeDeviceObject, EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"
import { until } from "./twoOperators.ts"

describe("a device whose admission is written, and answered only when it has hung up", () => {
  it.live("is let in by its next dial, with the token it has", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        let late = 0
        let cutOff = 0
        const slow = ((resource, object, options) =>
          Effect.tap(api.replace(resource, object, options), () => {
            const { link } = (object as EdgeDeviceObject).status ?? {}
            if (resource.plural !== "edgedevices" || link?.lineageHash === undefined || late++ > 0) return Effect.void
            return Effect.onInterrupt(Effect.sleep("1 hour"), () => Effect.sync(() => void (cutOff += 1)))
          })) as typeof api.replace
        yield* createNamespaces
        const device = yield* makeDevice("edge-1", 1)
        const operator = yield* makeOperator([device]).pipe(
          Effect.provideService(KubeApi, { ...api, replace: slow })
        )
        yield* operator.start
        yield* api.create(EdgeDevices, device.object())
        yield* device.agent.start
        const connected = Effect.map(
          api.get(EdgeDevices, { namespace: "edge", name: "edge-1" }),
          ({ status }) =>
            status?.conditions?.some(({ status, type }) => type === "Connected" && status === "True") ?? false
        )
        yield* Effect.timeout(until(connected), "1 minute")
        assert.strictEqual(cutOff, 1)
        assert.isAtLeast(late, 2)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))
})
