/** A pod of which one container cannot be made yet: what the others say of it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Pods } from "../../../core/kube/Pod.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { worldLayer } from "../../simulation/World.ts"
import { oneDevice, operated } from "./oneDevice.ts"

describe("a container whose ConfigMap is not there", () => {
  it.live("says so, and every other says that it waits for that one", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const device = yield* oneDevice
        yield* operated(device, api)
        const image = "busybox:1.36"
        const env = [{ name: "A", valueFrom: { configMapKeyRef: { name: "settings", key: "a" } } }]
        yield* api.create(Pods, {
          apiVersion: "v1",
          kind: "Pod",
          metadata: { namespace: "edge", name: "web" },
          spec: {
            nodeName: "edge-1",
            initContainers: [{ name: "first", image }],
            containers: [{ name: "main", image, env }, { name: "beside", image }]
          }
        })
        yield* Effect.sleep("1 minute")
        const { status } = yield* api.get(Pods, { namespace: "edge", name: "web" })
        const said = [...status?.initContainerStatuses ?? [], ...status?.containerStatuses ?? []]
          .map(({ name, state }) => `${name} ${state?.waiting?.reason}: ${state?.waiting?.message}`)
        assert.deepStrictEqual(said, [
          "first ContainerCreating: waits until container \"main\" can be made",
          "main CreateContainerConfigError: configmap \"settings\" not found",
          "beside ContainerCreating: waits until container \"main\" can be made"
        ])
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))
})
