import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ControlPlane } from "../../../adapters/kube/plane/ControlPlane.ts"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Pods } from "../../../core/kube/Pod.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, worldLayerWith } from "../../simulation/World.ts"

const place = { namespace: "edge", name: "web" }

describe("a pod that had ended when the cluster was set back to a time before", () => {
  it.live("runs again once aranya was restarted", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const { world } = yield* ControlPlane
        yield* createNamespaces
        const device = yield* makeDevice("edge-1", 1)
        const operator = yield* makeOperator([device])
        yield* operator.start
        yield* api.create(EdgeDevices, device.object({}))
        yield* device.agent.start
        yield* Effect.sleep("1 minute")
        const containers = [{ name: "main", image: "busybox:1.36" }]
        const spec = { nodeName: "edge-1", automountServiceAccountToken: false, containers }
        yield* api.create(Pods, { apiVersion: "v1", kind: "Pod", metadata: place, spec })
        yield* Effect.sleep("1 minute")
        const snapshot = world.store.get("pods", place.namespace, place.name)
        if (snapshot === undefined) return assert.fail("the pod is not there")
        yield* api.delete(Pods, place)
        yield* Effect.sleep("2 minutes")
        assert.isUndefined(world.store.get("pods", place.namespace, place.name))
        world.store.insert("pods", snapshot.object)
        yield* operator.kill
        yield* operator.start
        yield* Effect.sleep("3 minutes")
        const runs = yield* device.runtime.runs
        assert.deepStrictEqual(runs.map(({ finishedAt }) => finishedAt === undefined), [false, true])
        assert.strictEqual((yield* api.get(Pods, place)).status?.phase, "Running")
      }).pipe(Effect.scoped, Effect.provide(worldLayerWith("quick")), Effect.orDie)))
})
