import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { KubeApi, KubeApiError } from "../../../core/kube/KubeApi.ts"
import { Pods } from "../../../core/kube/Pod.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { worldLayer } from "../../simulation/World.ts"
import { oneDevice, operated } from "./oneDevice.ts"

describe("the pods of a device that was away and goes on with its session", () => {
  it.live(
    "are ready again, also where the API was away as it came back",
    () =>
      simulate(1, () =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          const device = yield* oneDevice
          let away = false
          const down = new KubeApiError({ reason: "Unavailable", status: 503, detail: "down" })
          const unlessAway = <A>(answer: Effect.Effect<A, KubeApiError>) =>
            Effect.suspend(() => away ? Effect.fail(down) : answer)
          yield* operated(device, {
            ...api,
            get: (resource, at) => unlessAway(api.get(resource, at)),
            patch: (resource, at, change) => unlessAway(api.patch(resource, at, change)),
            replace: (resource, object, options) => unlessAway(api.replace(resource, object, options))
          })
          yield* api.create(Pods, {
            apiVersion: "v1",
            kind: "Pod",
            metadata: { namespace: "edge", name: "web" },
            spec: {
              nodeName: "edge-1",
              containers: [{ name: "main", image: "busybox:1.36", command: ["sleep", "1000"] }]
            }
          })
          const ready = Effect.map(
            api.get(Pods, { namespace: "edge", name: "web" }),
            ({ status }) => status?.conditions?.find(({ type }) => type === "Ready")
          )
          yield* Effect.sleep("5 minutes")
          assert.strictEqual((yield* ready)?.status, "True")
          yield* device.transport.weather({ blackHole: true })
          yield* Effect.sleep("4 minutes")
          assert.deepInclude(yield* ready, { status: "False", reason: "DeviceDisconnected" })
          away = true
          yield* device.transport.weather({ blackHole: false })
          yield* Effect.sleep("70 seconds")
          away = false
          yield* Effect.sleep("2 minutes")
          assert.strictEqual((yield* ready)?.status, "True")
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)),
    60_000
  )
})
