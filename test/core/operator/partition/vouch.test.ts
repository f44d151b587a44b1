/** Two operators, of which one has the device and no API server, and the other one has an API server and no device. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch, Stream } from "effect"
import { ControlPlane } from "../../../../adapters/kube/plane/ControlPlane.ts"
import { EdgeDevices } from "../../../../core/device/EdgeDevice.ts"
import { KubeApi, KubeApiError } from "../../../../core/kube/KubeApi.ts"
import { type Pod, Pods } from "../../../../core/kube/Pod.ts"
import { forever } from "../../../fakes/runtime/Program.ts"
import { simulate } from "../../../simulation/VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, worldLayer } from "../../../simulation/World.ts"
import { eventually, kinds, workload } from "./scene.ts"

type Api = KubeApi["Service"]

/** The same API server, for whom it is there only while the latch is open. */
const behind = (there: Latch.Latch, api: Api): Api => {
  const answer = <A>(asked: Effect.Effect<A, KubeApiError>) =>
    Effect.suspend(() =>
      there.isOpen()
        ? asked
        : Effect.fail(new KubeApiError({ reason: "Unavailable", status: 0, detail: "no route to host" }))
    )
  return {
    create: (resource, object, options) => answer(api.create(resource, object, options)),
    delete: (resource, at, options) => answer(api.delete(resource, at, options)),
    get: (resource, at) => answer(api.get(resource, at)),
    list: (resource, selection) => answer(api.list(resource, selection)),
    patch: (resource, at, patch) => answer(api.patch(resource, at, patch)),
    replace: (resource, object, options) => answer(api.replace(resource, object, options)),
    observe: (resource, selection, options) => Stream.tap(api.observe(resource, selection, options), () => there.await)
  }
}

describe("a device whose operator has lost the API server", () => {
  it.live.each([1, 2, 3])(
    "rests before another operator gives its pods up, though it is heard (seed %i)",
    (seed) =>
      simulate(seed, () =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          const plane = yield* ControlPlane
          yield* createNamespaces
          const device = yield* makeDevice("edge-1", 1)
          yield* device.runtime.image("busybox:1.36", {})
          yield* device.runtime.script(() => true, { run: forever })
          const there = yield* Latch.make(true)
          const one = yield* makeOperator([device], undefined, undefined, "one").pipe(
            Effect.provideService(KubeApi, behind(there, api))
          )
          // No way leads from the device to it.
          const two = yield* makeOperator([], undefined, undefined, "two")
          yield* one.start
          const object = device.object()
          const partition = { stopWorkloadsAfter: "5m", replaceAfter: "6m" }
          yield* api.create(EdgeDevices, { ...object, spec: { ...object.spec as object, partition } })
          yield* device.agent.start
          yield* api.create(kinds.store, workload("store"))
          const running = Effect.map(
            device.runtime.runs,
            (runs) => runs.filter(({ finishedAt }) => finishedAt === undefined).length
          )
          yield* eventually(running, (many) => many === 1)
          yield* Effect.sleep("1 minute")

          let givenUpAmid: number | undefined
          plane.world.store.listen("pods", "all", ({ revision, type }) => {
            const { metadata } = revision.object as unknown as Pod
            if (type === "DELETED" && metadata.name === "store-0") givenUpAmid ??= Effect.runSync(running)
          })
          yield* there.close
          yield* two.start
          yield* Effect.sleep("4 minutes")
          assert.strictEqual(yield* running, 1, "its own patience has not run out yet")
          yield* Effect.sleep("11 minutes")
          assert.strictEqual(givenUpAmid, 0, "containers that ran when their pod was given up")

          yield* there.open
          yield* eventually(running, (many) => many === 1, 600)
          const pod = yield* api.get(Pods, { namespace: "edge", name: "store-0" })
          yield* eventually(
            api.get(Pods, { namespace: "edge", name: "store-0" }),
            ({ status }) => status?.phase === "Running"
          )
          const runs = yield* device.runtime.runs
          assert.deepStrictEqual(
            runs.filter(({ finishedAt }) => finishedAt === undefined).map(({ uid }) => uid),
            [pod.metadata.uid ?? ""]
          )
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie))
  )

  it.live.each([1, 2, 3, 4, 5])(
    "rests, and is not taken for one that is away, where there is no other operator (seed %i)",
    (seed) =>
      simulate(seed, () =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          yield* createNamespaces
          const device = yield* makeDevice("edge-1", 1)
          yield* device.runtime.image("busybox:1.36", {})
          yield* device.runtime.script(() => true, { run: forever })
          const there = yield* Latch.make(true)
          const one = yield* makeOperator([device]).pipe(Effect.provideService(KubeApi, behind(there, api)))
          yield* one.start
          const object = device.object()
          const partition = { stopWorkloadsAfter: "1m", replaceAfter: "2m" }
          yield* api.create(EdgeDevices, { ...object, spec: { ...object.spec as object, partition } })
          yield* device.agent.start
          yield* api.create(kinds.store, workload("store"))
          const stored = api.get(Pods, { namespace: "edge", name: "store-0" })
          yield* eventually(stored, ({ status }) => status?.phase === "Running")
          const { metadata } = yield* stored
          yield* there.close
          yield* Effect.sleep("20 minutes")
          const runs = yield* device.runtime.runs
          assert.isDefined(runs.at(-1)?.finishedAt, "nobody allows it to run")
          yield* there.open
          yield* Effect.sleep("15 minutes")
          const after = yield* stored
          assert.strictEqual(after.metadata.uid, metadata.uid)
          assert.isUndefined((yield* device.runtime.runs).at(-1)?.finishedAt)
          assert.isTrue(after.status?.conditions?.some(({ status, type }) => type === "Ready" && status === "True"))
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie))
  )

  it.live("keeps it for as long as that takes, where nobody counts on its rest", () =>
    simulate(4, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* createNamespaces
        const device = yield* makeDevice("edge-1", 1)
        const there = yield* Latch.make(true)
        const one = yield* makeOperator([device]).pipe(Effect.provideService(KubeApi, behind(there, api)))
        yield* one.start
        yield* api.create(EdgeDevices, device.object())
        yield* device.agent.start
        yield* Effect.sleep("1 minute")
        const before = yield* device.transport.diary
        yield* there.close
        yield* Effect.sleep("30 minutes")
        assert.deepStrictEqual(yield* device.transport.diary, before)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))
})
