import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Pods } from "../../../core/kube/Pod.ts"
import { forever } from "../../fakes/runtime/Program.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, worldLayerWith } from "../../simulation/World.ts"

describe("the readiness of a pod", () => {
  it.live("is the device's word again, also where somebody wrote over it while the link was down for a moment", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* createNamespaces
        const device = yield* makeDevice("edge-1", 1)
        yield* device.runtime.script(() => true, { run: forever })
        yield* (yield* makeOperator([device])).start
        yield* api.create(EdgeDevices, device.object())
        yield* device.agent.start
        yield* Effect.sleep("1 minute")
        const web = { namespace: "edge", name: "web" }
        yield* api.create(Pods, {
          metadata: web,
          spec: { nodeName: "edge-1", containers: [{ name: "main", image: "busybox:1.36" }] }
        })
        const ready = Effect.map(
          api.get(Pods, web),
          ({ status }) => status?.conditions?.find(({ type }) => type === "Ready")?.status
        )
        yield* Effect.sleep("1 minute")
        assert.strictEqual(yield* ready, "True")
        yield* device.transport.refuse("Refused")
        yield* device.transport.cut()
        yield* Effect.sleep("1 second")
        // As the node controller does to the pods of a Node that it has not heard of for a while.
        yield* api.patch(Pods, { ...web, subresource: "status" }, {
          type: "strategic",
          body: { status: { conditions: [{ type: "Ready", status: "False" }] } }
        })
        yield* Effect.sleep("5 seconds")
        assert.strictEqual(yield* ready, "False")
        yield* device.transport.refuse(undefined)
        yield* Effect.sleep("1 minute")
        assert.strictEqual(yield* ready, "True")
      }).pipe(Effect.scoped, Effect.provide(worldLayerWith("quick")), Effect.orDie)))
})
