/** Events of pods while the API server is away: their device keeps them until they are written. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, SubscriptionRef } from "effect"
import { TestClock } from "effect/testing"
import type { Fault } from "../../../adapters/kube/plane/memory/Faults.ts"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeEvents } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { type Pod, Pods } from "../../../core/kube/Pod.ts"
import type { DeviceContext } from "../../../core/operator/DeviceContext.ts"
import { deviceHandlers } from "../../../core/operator/deviceHandlers.ts"
import { encodeEvent } from "../../../core/wire/Event.ts"
import { decodeReply } from "../../../core/wire/Reply.ts"
import { QuickCryptography } from "../../fakes/QuickCryptography.ts"
import { forever } from "../../fakes/runtime/Program.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { clientWithFaults, createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"

const web: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name: "web" },
  spec: { nodeName: "edge-1", containers: [{ name: "main", image: "busybox:1.36", command: ["sleep", "1000"] }] }
}

/** How often each was said of the pod. */
const told = Effect.gen(function*() {
  const events = yield* (yield* KubeApi).list(KubeEvents, { namespace: "edge" })
  const counts: Record<string, number> = {}
  for (const { count = 1, involvedObject, reason = "" } of events) {
    if (involvedObject?.name === "web") counts[reason] = (counts[reason] ?? 0) + count
  }
  return counts
})

describe("what happens to a pod while the API server is away", () => {
  it.live.each<readonly [string, Fault]>([
    ["refuses", { refuseConnection: true }],
    ["never answers", { silence: true }]
  ])("is in its events once that is back, each once: it %s", ([, fault]) =>
    simulate(1, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        let away = false
        const client = yield* Layer.build(
          clientWithFaults(({ query }) => Effect.sync(() => away && query.get("watch") === null ? fault : {}))
        )
        yield* createNamespaces
        const device = yield* makeDevice("edge-1", 1)
        yield* device.runtime.script(() => true, { run: forever })
        yield* (yield* Effect.provideContext(makeOperator([device]), client)).start
        yield* api.create(EdgeDevices, device.object())
        yield* device.agent.start
        yield* Effect.sleep("1 minute")
        yield* api.create(Pods, web)
        yield* Effect.sleep("1 minute")
        assert.deepInclude(yield* told, { Started: 1 })
        away = true
        yield* device.runtime.crash(() => true, 1)
        yield* Effect.sleep("30 seconds")
        yield* device.runtime.crash(() => true, 1)
        yield* Effect.sleep("90 seconds")
        assert.deepInclude(yield* told, { Started: 1 })
        away = false
        yield* Effect.sleep("1 minute")
        const after = yield* told
        assert.deepInclude(after, { Started: 3 })
        assert.isAtLeast(after["BackOff"] ?? 0, 1)
        const { status } = yield* api.get(Pods, { namespace: "edge", name: "web" })
        assert.strictEqual(status?.containerStatuses?.[0]?.restartCount, 2)
        yield* Effect.sleep("5 minutes")
        assert.deepStrictEqual(yield* told, after)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.effect("is kept by the device until it is known whose its Node is", () =>
    Effect.gen(function*() {
      const owned = yield* SubscriptionRef.make<boolean | undefined>(undefined)
      let taken = 0
      const handlers = yield* deviceHandlers({ name: "edge-1", owned } as unknown as DeviceContext, {
        pods: { take: () => Effect.void, takeEvents: () => Effect.sync(() => void (taken += 1)) },
        nameConflict: () => undefined,
        learn: () => Effect.void
      })
      const message = yield* encodeEvent({ _tag: "PodEvents", events: [] })
      const tell = Effect.flatMap(handlers([]).onRequest(message), decodeReply)
      const first = yield* Effect.forkChild(tell)
      yield* TestClock.adjust("15 seconds")
      assert.deepInclude(yield* Fiber.join(first), { _tag: "Failure", code: "Unavailable" })
      assert.strictEqual(taken, 0)
      yield* SubscriptionRef.set(owned, true)
      assert.strictEqual((yield* tell)._tag, "Done")
      assert.strictEqual(taken, 1)
    }).pipe(Effect.provide(QuickCryptography.layer)))
})
