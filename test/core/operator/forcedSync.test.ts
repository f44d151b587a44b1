/** The forced sync of an EdgeDevice, seen by what the device is asked. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Latch, SubscriptionRef } from "effect"
import { TestClock } from "effect/testing"
import { decodeEdgeDevice } from "../../../core/device/decodeEdgeDevice.ts"
import { type EdgeDevice, EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Pods } from "../../../core/kube/Pod.ts"
import type { Session } from "../../../core/link/Session.ts"
import type { DeviceContext } from "../../../core/operator/DeviceContext.ts"
import { forcedSync } from "../../../core/operator/forcedSync.ts"
import type { NodeReport } from "../../../core/wire/Event.ts"
import { forever } from "../../fakes/runtime/Program.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"

const deviceWith = (forceSyncInterval: string, of: "node" | "pod" = "pod") =>
  decodeEdgeDevice({
    metadata: { namespace: "edge", name: "edge-1", uid: "u-1", generation: 1 },
    spec: { connectivity: { method: "grpc" }, [of]: { timers: { forceSyncInterval } } }
  })

const contextOf = Effect.fnUntraced(function*(first: EdgeDevice) {
  const context: DeviceContext = {
    key: "edge/edge-1",
    namespace: "edge",
    name: "edge-1",
    uid: "u-1",
    device: yield* SubscriptionRef.make(first),
    session: yield* SubscriptionRef.make<Session | undefined>(undefined),
    nodeReport: yield* SubscriptionRef.make<NodeReport | undefined>(undefined),
    owned: yield* SubscriptionRef.make<boolean | undefined>(true),
    clockOffset: () => 0,
    hold: { epoch: () => 1, stands: () => Effect.succeed(true), standsYet: Effect.succeed(true) },
    leaving: () => false
  }
  return context
})

/** Runs it for so long and tells at which seconds the device was asked. */
const asked = Effect.fnUntraced(function*(interval: string, seconds: number) {
  const context = yield* contextOf(yield* deviceWith(interval))
  const at: Array<number> = []
  const sync = Effect.gen(function*() {
    at.push((yield* Clock.currentTimeMillis) / 1000)
    if (at.length === 2) return yield* Effect.fail(new Error("no answer"))
  })
  const running = yield* Effect.forkChild(forcedSync(context, "pod", sync))
  for (let second = 0; second < seconds; second++) yield* TestClock.adjust("1 second")
  return { at, context, running }
})

describe("a forced sync", () => {
  it.effect("never happens unless it is asked for", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* asked("0s", 5_000)).at, [])
    }))

  it.effect("comes at its interval, give or take a fifth, also after one that failed", () =>
    Effect.gen(function*() {
      const { at } = yield* asked("1m", 3_600)
      assert.isAtLeast(at.length, 50)
      assert.isAtMost(at.length, 75)
      const pauses = at.slice(1).map((time, index) => time - (at[index] ?? 0))
      assert.isTrue(pauses.every((pause) => pause >= 48 && pause <= 72))
      assert.isAbove(new Set(pauses).size, 20, "no two devices keep step")
    }))

  it.effect("follows an edit at once, and stops with the session", () =>
    Effect.gen(function*() {
      const { at, context, running } = yield* asked("1h", 60)
      assert.deepStrictEqual(at, [])
      yield* SubscriptionRef.set(context.device, yield* deviceWith("10s"))
      for (let second = 0; second < 60; second++) yield* TestClock.adjust("1 second")
      assert.isAtLeast(at.length, 4)
      yield* Fiber.interrupt(running)
      const before = at.length
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(at.length, before)
    }))

  it.live("is asked of the device in each session, over the link", () =>
    Effect.gen(function*() {
      /** Frames to the device in ten minutes. */
      const frames = (interval: string, of: "node" | "pod") =>
        simulate(1, () =>
          Effect.gen(function*() {
            const api = yield* KubeApi
            yield* createNamespaces
            const device = yield* makeDevice("edge-1", 1)
            yield* (yield* makeOperator([device])).start
            const object = device.object()
            yield* api.create(EdgeDevices, {
              ...object,
              spec: { ...object.spec as object, [of]: { timers: { forceSyncInterval: interval } } }
            })
            yield* device.agent.start
            yield* Effect.sleep("2 minutes")
            const before = (yield* device.transport.traffic).toDevice.frames
            yield* Effect.sleep("10 minutes")
            return (yield* device.transport.traffic).toDevice.frames - before
          }).pipe(Effect.scoped, Effect.provide(worldLayer)))
      assert.isAtMost(yield* frames("0s", "pod"), 20)
      assert.isAtLeast(yield* frames("10s", "pod"), 50)
      // Each time the question, and the word that the report has come.
      assert.isAtLeast(yield* frames("10s", "node"), 100)
    }))

  it.live("does not make the operator forget what it has just given, which the device cannot tell of yet", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* createNamespaces
        const device = yield* makeDevice("edge-1", 1)
        yield* device.runtime.script(() => true, { run: forever })
        yield* (yield* makeOperator([device])).start
        const object = device.object({ pod: { timers: { forceSyncInterval: "1s" } } })
        yield* api.create(EdgeDevices, object)
        yield* device.agent.start
        yield* Effect.sleep("1 minute")
        const at = { namespace: "edge", name: "web" }
        const disk = yield* Latch.make(false)
        yield* device.journal.intercept(disk.await)
        yield* api.create(Pods, {
          apiVersion: "v1",
          kind: "Pod",
          metadata: at,
          spec: { nodeName: "edge-1", containers: [{ name: "main", image: "busybox:1.36" }] }
        })
        yield* Effect.sleep("5 seconds")
        yield* api.delete(Pods, at)
        // Longer than the operator waits for an answer.
        yield* Effect.sleep("90 seconds")
        yield* disk.open
        yield* Effect.match(api.get(Pods, at), { onFailure: () => true, onSuccess: () => false }).pipe(
          Effect.delay("10 millis"),
          Effect.repeat({ until: (gone) => gone })
        )
        const runs = yield* device.runtime.runs
        assert.isTrue(runs.every(({ finishedAt }) => finishedAt !== undefined), "it goes after its containers")
        yield* Effect.sleep("1 minute")
        assert.lengthOf(yield* device.runtime.runs, runs.length, "nothing begins after it is gone")
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.effect("is refused by name where it would keep a device busy", () =>
    Effect.gen(function*() {
      const message = yield* Effect.match(deviceWith("999ms"), {
        onFailure: (error) => error.message,
        onSuccess: () => "good"
      })
      assert.match(message, /spec\.pod\.timers\.forceSyncInterval is too short: give it at least 1s, or 0 for never/u)
      const node = yield* Effect.flip(deviceWith("999ms", "node"))
      assert.match(node.message, /spec\.node\.timers\.forceSyncInterval is too short/u)
    }))
})
