import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Pods } from "../../../core/kube/Pod.ts"
import { PodIndex } from "../../../core/operator/PodIndex.ts"
import { podWrites } from "../../../core/operator/podWrites.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { createNamespaces, worldLayer } from "../../simulation/World.ts"

describe("the status of a pod", () => {
  it.live("leaves no terminal phase, not even for the other one", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const { writeStatus } = yield* podWrites
        yield* createNamespaces
        // The namespace gets its service account.
        yield* Effect.sleep("1 second")
        const pod = yield* api.create(Pods, {
          apiVersion: "v1",
          kind: "Pod",
          metadata: { namespace: "edge", name: "job" },
          spec: { nodeName: "edge-1", containers: [{ name: "main", image: "busybox:1.36" }] }
        })
        const phase = Effect.map(api.get(Pods, { namespace: "edge", name: "job" }), ({ status }) => status?.phase)
        yield* writeStatus(pod, { phase: "Running" })
        yield* writeStatus(yield* api.get(Pods, { namespace: "edge", name: "job" }), { phase: "Succeeded" })
        const over = yield* api.get(Pods, { namespace: "edge", name: "job" })
        for (const other of ["Running", "Failed"] as const) {
          yield* writeStatus(over, { phase: other })
          assert.strictEqual(yield* phase, "Succeeded")
        }
        yield* writeStatus(over, { phase: "Succeeded", reason: "Completed" })
        assert.strictEqual((yield* api.get(Pods, { namespace: "edge", name: "job" })).status?.reason, "Completed")
      }).pipe(Effect.scoped, Effect.provide(PodIndex.layer.pipe(Layer.provideMerge(worldLayer))), Effect.orDie)))
})
