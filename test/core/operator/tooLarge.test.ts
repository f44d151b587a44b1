/** A pod that refers to more than its device takes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { ConfigMaps, KubeEvents } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Pods } from "../../../core/kube/Pod.ts"
import { defaultLimits, LinkLimits } from "../../../core/link/LinkLimits.ts"
import { forever } from "../../fakes/runtime/Program.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"

const names = ["a", "b", "c", "d", "e"]
const here = { namespace: "edge", name: "web" }

describe("a pod that does not fit one message to its device", () => {
  it.live.each(
    [
      ["any device", 950, defaultLimits.agentPool, "at most 4194272 are allowed"],
      ["one with less memory", 50, 256 * 1024, "is more than 131072"]
    ] as const
  )(
    "is told about in an event, is not tried again, and begins once it fits: %s",
    ([, kibibytes, agentPool, most]) =>
      simulate(1, () =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          yield* createNamespaces
          const device = yield* makeDevice("edge-1", 1)
          yield* device.runtime.image("busybox:1.36", {})
          yield* device.runtime.script(() => true, { run: forever })
          yield* (yield* makeOperator([device])).start
          yield* api.create(EdgeDevices, device.object())
          yield* device.agent.start.pipe(Effect.provideService(LinkLimits, { ...defaultLimits, agentPool }))
          for (const name of names) {
            yield* api.create(ConfigMaps, {
              apiVersion: "v1",
              kind: "ConfigMap",
              metadata: { namespace: "edge", name },
              data: { text: "0123456789abcdef".repeat(kibibytes * 64) }
            })
          }
          yield* Effect.sleep("1 minute")
          yield* api.create(Pods, {
            apiVersion: "v1",
            kind: "Pod",
            metadata: here,
            spec: {
              nodeName: "edge-1",
              volumes: names.map((name) => ({ name, configMap: { name } })),
              containers: [{ name: "main", image: "busybox:1.36", command: ["sleep", "1000"] }]
            }
          })
          yield* Effect.sleep("5 minutes")
          const told = (yield* api.list(KubeEvents, { namespace: "edge" })).filter(({ reason }) =>
            reason === "FailedSync"
          )
          assert.lengthOf(told, 1)
          assert.include(told[0]!.message, most)
          assert.include(told[0]!.message, "fewer or smaller ConfigMaps and Secrets")
          const sent = Effect.map(device.transport.traffic, ({ toDevice }) => toDevice.bytes)
          const before = yield* sent
          yield* Effect.sleep("30 minutes")
          // An idle device's own.
          assert.isBelow((yield* sent) - before, 8 * 1024)

          yield* api.patch(ConfigMaps, { namespace: "edge", name: "a" }, {
            type: "merge",
            body: { data: { text: "" } }
          })
          yield* api.patch(ConfigMaps, { namespace: "edge", name: "b" }, {
            type: "merge",
            body: { data: { text: "" } }
          })
          yield* api.patch(ConfigMaps, { namespace: "edge", name: "c" }, {
            type: "merge",
            body: { data: { text: "" } }
          })
          yield* Effect.sleep("1 minute")
          assert.strictEqual((yield* api.get(Pods, here)).status?.phase, "Running")
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie))
  )
})
