/** An API server that refuses what the operator writes of an EdgeDevice: nothing else would say why the device is not served. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, References } from "effect"
import { refuse } from "../../../adapters/kube/plane/memory/Faults.ts"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Nodes } from "../../../core/kube/Node.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { clientWithFaults, createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"

const hasNode = Effect.gen(function*() {
  const node = yield* Effect.option((yield* KubeApi).get(Nodes, { name: "edge-1" }))
  return node._tag === "Some"
})

/** What is logged as a warning while these requests are refused, and whether the device is served once they no longer are. */
const refusing = (seed: number, line: string) =>
  simulate(seed, () =>
    Effect.gen(function*() {
      const warnings: Array<string> = []
      const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
        const text = String(message)
        if (logLevel === "Warn" && text.includes("Kubernetes API")) warnings.push(text)
      })
      let refuses = true
      const client = yield* Layer.build(clientWithFaults(({ method, path }) =>
        Effect.succeed(
          refuses && `${method} ${path}`.endsWith(line) ? { answer: refuse(403, "Forbidden", "not by you") } : {}
        )
      ))
      yield* createNamespaces
      const device = yield* makeDevice("edge-1", 1)
      const operator = yield* makeOperator([device]).pipe(Effect.provideContext(client))
      yield* operator.start.pipe(
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(References.MinimumLogLevel, "Warn")
      )
      yield* (yield* KubeApi).create(EdgeDevices, device.object())
      yield* device.agent.start
      yield* Effect.sleep("5 minutes")
      assert.isFalse(yield* hasNode)
      refuses = false
      yield* Effect.sleep("1 minute")
      assert.isTrue(yield* hasNode)
      return warnings
    }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie))

describe("what keeps an EdgeDevice from being served", () => {
  it.live("is logged once where it is the finalizer", () =>
    Effect.map(
      refusing(1, "PATCH /apis/aranya.arhat.dev/v1alpha1/namespaces/edge/edgedevices/edge-1"),
      (warnings) =>
        assert.deepStrictEqual(warnings, [
          "EdgeDevice edge/edge-1 is not served without its finalizer: Kubernetes API: Forbidden (403): not by you"
        ])
    ))

  it.live("is logged once where it is the status", () =>
    Effect.map(
      refusing(2, "PUT /apis/aranya.arhat.dev/v1alpha1/namespaces/edge/edgedevices/edge-1/status"),
      (warnings) =>
        assert.deepStrictEqual(warnings, [
          "status of EdgeDevice edge/edge-1: Kubernetes API: Forbidden (403): not by you"
        ])
    ))

  it.live("is never that arhat says a long version of itself", () =>
    simulate(3, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* createNamespaces
        const version = `0.1.0-${"nightly.".repeat(30)}`
        const device = yield* makeDevice("edge-1", 1, undefined, undefined, undefined, undefined, version)
        yield* (yield* makeOperator([device])).start
        yield* api.create(EdgeDevices, device.object())
        yield* device.agent.start
        yield* Effect.sleep("1 minute")
        const { status } = yield* api.get(EdgeDevices, { namespace: "edge", name: "edge-1" })
        assert.strictEqual(status?.agentVersion, version.slice(0, 128))
        assert.strictEqual(status?.conditions?.find(({ type }) => type === "Connected")?.status, "True")
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))
})
