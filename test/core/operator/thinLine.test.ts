/** Pods that a thin line takes long to carry. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Base64 } from "effect/encoding"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { Secrets } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Pods } from "../../../core/kube/Pod.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { worldLayer } from "../../simulation/World.ts"
import { noise } from "../link/noise.ts"
import { oneDevice, operated } from "./oneDevice.ts"

/** So many pods, each with a Secret of so many bytes, on a line of 5 KB/s: how many run after so many seconds, and what was sent by then. */
const sentFor = (pods: number, bytes: number, within: number) =>
  simulate(1, () =>
    Effect.gen(function*() {
      const api = yield* KubeApi
      const device = yield* oneDevice
      yield* operated(device, api)
      yield* api.patch(EdgeDevices, { namespace: "edge", name: "edge-1" }, {
        type: "merge",
        body: { spec: { connectivity: { timers: { unarySessionTimeout: "20s" } } } }
      })
      const names = Array.from({ length: pods }, (_, number) => `web-${number}`)
      for (const name of names) {
        yield* api.create(Secrets, {
          apiVersion: "v1",
          kind: "Secret",
          metadata: { namespace: "edge", name },
          data: { blob: Base64.encode(noise(bytes)) }
        })
      }
      yield* device.transport.weather({ bytesPerSecond: 5_000 })
      const before = (yield* device.transport.traffic).toDevice.bytes
      for (const name of names) {
        yield* api.create(Pods, {
          apiVersion: "v1",
          kind: "Pod",
          metadata: { namespace: "edge", name },
          spec: {
            nodeName: "edge-1",
            volumes: [{ name: "blob", secret: { secretName: name } }],
            containers: [{ name: "main", image: "busybox:1.36", command: ["sleep", "1000"] }]
          }
        })
      }
      yield* Effect.sleep(within * 1000)
      const running = (yield* api.list(Pods, { namespace: "edge" })).filter(({ metadata, status }) =>
        names.includes(metadata.name ?? "") && status?.phase === "Running"
      )
      return { running: running.length, sent: (yield* device.transport.traffic).toDevice.bytes - before }
    }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie))

describe("pods on a line that is thin", () => {
  it.live("a large one arrives, and is said about once", () =>
    Effect.gen(function*() {
      const { running, sent } = yield* sentFor(1, 400_000, 120)
      assert.strictEqual(running, 1)
      assert.isBelow(sent, 1.1 * 400_000)
    }))

  it.live("many at a time arrive one after the other, and are said about once", () =>
    Effect.gen(function*() {
      const { running, sent } = yield* sentFor(50, 8_000, 150)
      assert.strictEqual(running, 50)
      assert.isBelow(sent, 1.3 * 50 * 8_000)
    }))
})
