/** A pod that asks for more than a number holds exactly, as the API lets it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Pods } from "../../../core/kube/Pod.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { worldLayer } from "../../simulation/World.ts"
import { oneDevice, operated } from "./oneDevice.ts"

const here = { namespace: "edge", name: "web" }

describe("a pod with amounts beyond all measure", () => {
  it.live("runs, and ends where it is gone from the API", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const device = yield* oneDevice
        yield* operated(device, api)
        const { metadata: { uid = "" } } = yield* api.create(Pods, {
          apiVersion: "v1",
          kind: "Pod",
          metadata: here,
          spec: {
            nodeName: "edge-1",
            terminationGracePeriodSeconds: Number("9223372036854775807"),
            volumes: [{ name: "data", emptyDir: { sizeLimit: "16Pi" } }],
            containers: [{ name: "main", image: "busybox:1.36", resources: { limits: { memory: "8Ei" } } }]
          }
        })
        yield* Effect.sleep("2 minutes")
        assert.strictEqual((yield* api.get(Pods, here)).status?.phase, "Running")
        // By force: the device is told of the pod's own grace.
        yield* api.delete(Pods, here, { gracePeriodSeconds: 0 })
        yield* Effect.sleep("2 minutes")
        const told = (yield* device.obeyed).map(({ what }) => what)
        assert.deepStrictEqual(told.slice(1), [`remove ${uid}`, `forget ${uid}`])
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))
})
