/** The addresses of a pod that runs, as its owner shows and hides them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Pods } from "../../../core/kube/Pod.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { worldLayer } from "../../simulation/World.ts"
import { oneDevice, operated } from "./oneDevice.ts"

const here = { namespace: "edge", name: "web" }

describe("an edit of publishIP", () => {
  it.live("shows and hides the addresses of pods that are there, and writes each once", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const device = yield* oneDevice
        yield* operated(device, api)
        yield* api.create(Pods, {
          apiVersion: "v1",
          kind: "Pod",
          metadata: here,
          spec: { nodeName: "edge-1", containers: [{ name: "main", image: "busybox:1.36" }] }
        })
        yield* Effect.sleep("2 minutes")
        const said: Array<readonly [host: boolean, own: boolean]> = []
        for (const publishIP of ["always", "auto", "never", "always"]) {
          yield* api.patch(EdgeDevices, { namespace: "edge", name: "edge-1" }, {
            type: "merge",
            body: { spec: { pod: { publishIP } } }
          })
          yield* Effect.sleep("1 minute")
          const { metadata, status } = yield* api.get(Pods, here)
          assert.strictEqual(status?.podIPs?.[0]?.ip, status?.podIP)
          assert.strictEqual(status?.hostIPs?.[0]?.ip, status?.hostIP)
          said.push([status?.hostIP !== undefined, status?.podIP !== undefined])
          yield* Effect.sleep("5 minutes")
          assert.strictEqual((yield* api.get(Pods, here)).metadata.resourceVersion, metadata.resourceVersion)
        }
        assert.deepStrictEqual(said, [[true, true], [true, false], [false, false], [true, true]])
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))
})
