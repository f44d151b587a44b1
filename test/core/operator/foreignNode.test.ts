/** An EdgeDevice named as a Node that is not its own: whoever may create one must not come by other people's pods. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule, Schema } from "effect"
import { refuse } from "../../../adapters/kube/plane/memory/Faults.ts"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import type { KubeResource } from "../../../core/kube/KubeResource.ts"
import { type Node, Nodes } from "../../../core/kube/Node.ts"
import type { KubeObject } from "../../../core/kube/ObjectMeta.ts"
import { type Pod, Pods } from "../../../core/kube/Pod.ts"
import { forever } from "../../fakes/runtime/Program.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { clientWithFaults, createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"

class NotYet extends Error {}

/** Looks every second of virtual time, for four minutes. */
const eventually = <A, E, R>(look: Effect.Effect<A, E, R>, holds: (seen: A) => boolean) =>
  look.pipe(
    Effect.flatMap((seen) =>
      holds(seen) ? Effect.succeed(seen) : Effect.fail(new NotYet(JSON.stringify(seen, null, 1)))
    ),
    Effect.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 240 })))
  )

const pod = (name: string, node: string): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name },
  spec: { nodeName: node, containers: [{ name: "main", image: "busybox:1.36", command: ["sleep", "1000"] }] }
})

const Namespaces: KubeResource<KubeObject> = {
  group: "",
  version: "v1",
  kind: "Namespace",
  plural: "namespaces",
  namespaced: false,
  schema: Schema.Any as unknown as KubeResource<KubeObject>["schema"]
}

/** Right after its namespace was made the ServiceAccount of a pod may not be there yet. */
const createPod = (name: string, node: string) =>
  Effect.gen(function*() {
    const api = yield* KubeApi
    return yield* eventually(Effect.option(api.create(Pods, pod(name, node))), (made) => made._tag === "Some")
  })

const phase = (name: string) =>
  Effect.gen(function*() {
    const api = yield* KubeApi
    return (yield* api.get(Pods, { namespace: "edge", name })).status?.phase
  })

const conditions = (namespace: string, name: string) =>
  Effect.gen(function*() {
    const api = yield* KubeApi
    const { status } = yield* api.get(EdgeDevices, { namespace, name })
    return (status?.conditions ?? []).filter(({ status }) => status === "True").map(({ type }) => type)
  })

/** The device edge-1, and an operator that it links to. */
const served = Effect.gen(function*() {
  const api = yield* KubeApi
  yield* createNamespaces
  const device = yield* makeDevice("edge-1", 1)
  yield* device.runtime.script(() => true, { run: forever })
  const operator = yield* makeOperator([device])
  yield* operator.start
  yield* api.create(EdgeDevices, device.object())
  yield* device.agent.start
  return { api, device }
})

describe("an EdgeDevice named as somebody else's Node", () => {
  it.live("gets none of the pods of a real node, and its end does not touch them", () =>
    simulate(4, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* createNamespaces
        const worker: Node = { apiVersion: "v1", kind: "Node", metadata: { name: "worker-1" }, spec: {} }
        yield* api.create(Nodes, worker)
        yield* createPod("early", "worker-1")
        const thief = yield* makeDevice("worker-1", 1)
        yield* thief.runtime.script(() => true, { run: forever })
        const operator = yield* makeOperator([thief])
        yield* operator.start
        yield* api.create(EdgeDevices, thief.object())
        yield* thief.agent.start
        yield* eventually(conditions("edge", "worker-1"), (seen) =>
          seen.includes("NameConflict") && seen.includes("Connected"))
        yield* createPod("late", "worker-1")
        yield* Effect.sleep("5 minutes")
        assert.lengthOf(yield* thief.runtime.runs, 0)

        yield* api.delete(EdgeDevices, { namespace: "edge", name: "worker-1" })
        yield* eventually(Effect.flip(conditions("edge", "worker-1")), (error) =>
          error.reason === "NotFound")
        assert.strictEqual(yield* phase("early"), "Pending")
        assert.strictEqual(yield* phase("late"), "Pending")
        assert.strictEqual((yield* api.get(Nodes, { name: "worker-1" })).metadata.name, "worker-1")
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("takes nothing from the device of another namespace that had the name first", () =>
    simulate(5, () =>
      Effect.gen(function*() {
        const { api, device } = yield* served
        yield* createPod("before", "edge-1")
        yield* eventually(phase("before"), (seen) => seen === "Running")

        yield* api.create(Namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name: "other" } })
        const second = device.object()
        yield* api.create(EdgeDevices, { ...second, metadata: { namespace: "other", name: "edge-1" } })
        yield* eventually(conditions("other", "edge-1"), (seen) => seen.includes("NameConflict"))
        // Long enough for what is said of devices that are away.
        yield* Effect.sleep("5 minutes")
        const { status } = yield* api.get(Pods, { namespace: "edge", name: "before" })
        assert.strictEqual(status?.conditions?.find(({ type }) => type === "Ready")?.status, "True")
        yield* createPod("during", "edge-1")
        yield* eventually(phase("during"), (seen) => seen === "Running")

        yield* api.delete(EdgeDevices, { namespace: "other", name: "edge-1" })
        yield* eventually(Effect.flip(conditions("other", "edge-1")), (error) => error.reason === "NotFound")
        assert.strictEqual(yield* phase("before"), "Running")
        yield* createPod("after", "edge-1")
        yield* eventually(phase("after"), (seen) => seen === "Running")
        assert.lengthOf(yield* device.runtime.runs, 3)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live.each(
    [
      ["the second look at its pods fails", false],
      ["the answer is lost", true]
    ] as const
  )(
    "leaves its pods to nobody when a device of another namespace gets the Node, and %s",
    ([, lost]) =>
      simulate(9, () =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          yield* createNamespaces
          yield* api.create(Namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name: "other" } })
          const device = yield* makeDevice("edge-1", 1)
          yield* device.runtime.script(() => true, { run: forever })
          let gone = false
          let fails = 1
          const client = yield* Layer.build(clientWithFaults(({ method, path }) =>
            Effect.gen(function*() {
              if (method === "DELETE" && path.endsWith("/nodes/edge-1") && !gone) {
                gone = true
                // As a DaemonSet does.
                yield* Effect.orDie(createPod("meanwhile", "edge-1"))
                return { loseAnswer: lost }
              }
              if (lost || fails === 0 || !gone || method !== "GET" || !path.endsWith("/pods")) return {}
              fails -= 1
              return { answer: refuse(500, "InternalError", "etcd is slow") }
            }).pipe(Effect.provideService(KubeApi, api))
          ))
          yield* (yield* Effect.provideContext(makeOperator([device]), client)).start
          yield* api.create(EdgeDevices, device.object())
          yield* device.agent.start
          yield* eventually(api.get(Nodes, { name: "edge-1" }), () => true)
          yield* createPod("first", "edge-1")
          yield* eventually(phase("first"), (seen) => seen === "Running")
          yield* api.create(EdgeDevices, { ...device.object(), metadata: { namespace: "other", name: "edge-1" } })
          yield* eventually(conditions("other", "edge-1"), (seen) => seen.includes("NameConflict"))
          yield* api.delete(EdgeDevices, { namespace: "edge", name: "edge-1" })
          yield* eventually(
            api.get(Nodes, { name: "edge-1" }),
            ({ metadata }) => metadata.labels?.["arhat.dev/namespace"] === "other"
          )
          yield* Effect.sleep("1 minute")
          assert.deepStrictEqual(
            (yield* api.list(Pods, { namespace: "edge" })).map(({ metadata }) => metadata.name),
            []
          )
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie))
  )

  it.live("asks now and then whether the Node is free, not all the time", () =>
    simulate(8, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        let reads = 0
        const client = yield* Layer.build(clientWithFaults(({ method, path }) =>
          Effect.sync(() => {
            if (method === "GET" && path.endsWith("/nodes/edge-1")) reads += 1
            return {}
          })
        ))
        yield* createNamespaces
        yield* api.create(Nodes, { apiVersion: "v1", kind: "Node", metadata: { name: "edge-1" }, spec: {} })
        const device = yield* makeDevice("edge-1", 1)
        yield* (yield* Effect.provideContext(makeOperator([device]), client)).start
        yield* api.create(EdgeDevices, device.object())
        yield* eventually(conditions("edge", "edge-1"), (seen) => seen.includes("NameConflict"))
        reads = 0
        yield* Effect.sleep("10 minutes")
        assert.isAtLeast(reads, 30)
        assert.isAtMost(reads, 70)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("gets the Node once it is free, and its pods with it", () =>
    simulate(6, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* createNamespaces
        const worker: Node = { apiVersion: "v1", kind: "Node", metadata: { name: "edge-1" }, spec: {} }
        yield* api.create(Nodes, worker)
        const device = yield* makeDevice("edge-1", 1)
        yield* device.runtime.script(() => true, { run: forever })
        const operator = yield* makeOperator([device])
        yield* operator.start
        yield* api.create(EdgeDevices, device.object())
        yield* device.agent.start
        yield* eventually(conditions("edge", "edge-1"), (seen) => seen.includes("NameConflict"))
        yield* api.delete(Nodes, { name: "edge-1" })
        yield* eventually(conditions("edge", "edge-1"), (seen) =>
          seen.includes("Ready") && !seen.includes("NameConflict"))
        yield* createPod("web", "edge-1")
        yield* eventually(phase("web"), (seen) =>
          seen === "Running")
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("has it made anew where it was left behind by an EdgeDevice of this very name", () =>
    simulate(7, () =>
      Effect.gen(function*() {
        const { api, device } = yield* served
        yield* eventually(conditions("edge", "edge-1"), (seen) => seen.includes("Ready"))
        const node = yield* api.get(Nodes, { name: "edge-1" })
        yield* api.delete(EdgeDevices, { namespace: "edge", name: "edge-1" })
        yield* eventually(Effect.flip(conditions("edge", "edge-1")), (error) => error.reason === "NotFound")
        // As by an operator that has not heard of that yet.
        const { resourceVersion: _, uid: __, ...metadata } = node.metadata
        yield* api.create(Nodes, { ...node, metadata })
        yield* api.create(EdgeDevices, device.object())
        yield* eventually(conditions("edge", "edge-1"), (seen) =>
          seen.includes("Ready") && !seen.includes("NameConflict"))
        yield* createPod("web", "edge-1")
        yield* eventually(phase("web"), (seen) =>
          seen === "Running")
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))
})
