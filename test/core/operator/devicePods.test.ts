import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { type Pod, Pods } from "../../../core/kube/Pod.ts"
import { forever } from "../../fakes/runtime/Program.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"

const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name: "web" },
  spec: {
    nodeName: "edge-1",
    containers: [{
      name: "main",
      image: "busybox:1.36",
      command: ["sleep", "1000"],
      env: [{ name: "LOGIN", valueFrom: { secretKeyRef: { name: "login", key: "user", optional: true } } }]
    }]
  }
}

describe("a pod that a device was told of as it went away", () => {
  it.live(
    "is kept no more once it is gone from the API and the device is back without it",
    () =>
      simulate(1, () =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          yield* createNamespaces
          const device = yield* makeDevice("edge-1", 1)
          yield* device.runtime.image("busybox:1.36", {})
          yield* device.runtime.script(() => true, { run: forever })
          let watching = 0
          const count = (by: number) =>
            Effect.sync(() => {
              watching += by
            })
          const observe = ((resource, selection, options) => {
            const seen = api.observe(resource, selection, options)
            return resource.plural === "secrets"
              ? seen.pipe(Stream.onStart(count(1)), Stream.ensuring(count(-1)))
              : seen
          }) as typeof api.observe
          const operator = yield* makeOperator([device]).pipe(Effect.provideService(KubeApi, { ...api, observe }))
          yield* operator.start
          yield* api.create(EdgeDevices, device.object())
          yield* device.agent.start
          yield* Effect.sleep("1 minute")
          const before = watching
          yield* device.transport.weather({ blackHole: true })
          yield* api.create(Pods, pod)
          yield* Effect.sleep("20 minutes")
          assert.strictEqual(watching, before + 1, "its keeper waits for the device")
          yield* api.delete(Pods, { namespace: "edge", name: "web" }, { gracePeriodSeconds: 0 })
          // A line as long as real ones: what the device holds is told after all that it says by itself.
          yield* device.transport.weather({ blackHole: false, delayMillis: [200, 200] })
          yield* Effect.sleep("8 minutes")
          assert.strictEqual(watching, before)
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)),
    60_000
  )
})
