/** What becomes of a Node: deleted by somebody while it is written it is made anew, and what is not new is hardly written. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Layer } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { Leases } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Nodes } from "../../../core/kube/Node.ts"
import { parseTimestamp } from "../../../core/kube/time.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { clientWithFaults, createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"
import { oneDevice, operated } from "./oneDevice.ts"

type Method = "create" | "patch"

/** One device; `story` may have the Node deleted, and that be heard of, after the operator's next write and before its answer. */
const inWorld = <E>(
  seed: number,
  story: (given: {
    readonly deleteAfterNext: (method: Method) => void
    readonly deleteNode: Effect.Effect<void, never, KubeApi>
    /** Long enough for a heartbeat of the Node. */
    readonly isThere: Effect.Effect<boolean, never, KubeApi>
    /** From now on the operator's watch of Nodes says nothing. */
    readonly freeze: Effect.Effect<void>
  }) => Effect.Effect<void, E, KubeApi>
) =>
  simulate(seed, () =>
    Effect.gen(function*() {
      const cluster = yield* KubeApi
      yield* createNamespaces
      const device = yield* makeDevice("edge-1", 1)
      let thaw: Deferred.Deferred<void> | undefined
      const holdWatch = Effect.suspend(() => thaw === undefined ? Effect.void : Deferred.await(thaw))
      const client = yield* Layer.build(
        clientWithFaults(({ path }) => Effect.succeed(path.endsWith("/nodes") ? { holdWatch } : {}))
      )
      const api = yield* Effect.provideContext(KubeApi, client)
      let doomed: Method | undefined
      const deleteNode = Effect.orDie(cluster.delete(Nodes, { name: "edge-1" }))
      const answeredLate = (method: Method, plural: string) =>
        Effect.suspend(() => {
          if (doomed !== method || plural !== "nodes") return Effect.void
          doomed = undefined
          return Effect.andThen(deleteNode, Effect.sleep("1 second"))
        })
      const operator = yield* Effect.provideService(makeOperator([device]), KubeApi, {
        ...api,
        create: (resource, object, options) =>
          Effect.tap(api.create(resource, object, options), () => answeredLate("create", resource.plural)),
        patch: (resource, at, patch) =>
          Effect.tap(api.patch(resource, at, patch), () => answeredLate("patch", resource.plural))
      })
      yield* operator.start
      yield* cluster.create(EdgeDevices, device.object())
      yield* device.agent.start
      yield* Effect.sleep("1 minute")
      yield* story({
        deleteAfterNext: (method) => {
          doomed = method
        },
        deleteNode,
        isThere: Effect.sleep("10 minutes").pipe(
          Effect.andThen(Effect.option(cluster.get(Nodes, { name: "edge-1" }))),
          Effect.map((found) => doomed === undefined && found._tag === "Some")
        ),
        freeze: Effect.sync(() => {
          thaw = Deferred.makeUnsafe()
        })
      })
    }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie))

describe("a Node that somebody deletes", () => {
  it.live("is made anew where the answer to a write of ours comes after its end", () =>
    inWorld(1, ({ deleteAfterNext, isThere }) =>
      Effect.gen(function*() {
        deleteAfterNext("patch")
        assert.isTrue(yield* isThere)
      })))

  it.live("is made anew where it was deleted as soon as it was made", () =>
    inWorld(2, ({ deleteAfterNext, deleteNode, isThere }) =>
      Effect.gen(function*() {
        deleteAfterNext("create")
        yield* deleteNode
        assert.isTrue(yield* isThere)
      })))

  it.live("is made anew where no watch tells of its end", () =>
    inWorld(3, ({ deleteNode, freeze, isThere }) =>
      Effect.gen(function*() {
        yield* freeze
        yield* deleteNode
        assert.isTrue(yield* isThere)
      })))
})

describe("a Node that somebody else put in the place of ours, of which no watch tells", () => {
  it.live("is not written to, and ours is made once it is gone", () =>
    inWorld(9, ({ deleteNode, freeze, isThere }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* freeze
        yield* deleteNode
        const conflict = Effect.map(
          api.get(EdgeDevices, { namespace: "edge", name: "edge-1" }),
          ({ status }) => status?.conditions?.find(({ type }) => type === "NameConflict")?.status
        )
        const theirs = yield* api.create(Nodes, {
          apiVersion: "v1",
          kind: "Node",
          metadata: { name: "edge-1" },
          spec: {}
        })
        assert.isTrue(yield* isThere)
        const { metadata, status } = yield* api.get(Nodes, { name: "edge-1" })
        assert.strictEqual(metadata.uid, theirs.metadata.uid)
        assert.isUndefined(status?.addresses)
        assert.notInclude(status?.conditions?.map(({ type }) => type) ?? [], "DeviceConnected")
        assert.strictEqual(yield* conflict, "True")
        yield* deleteNode
        assert.isTrue(yield* isThere)
        const ours = yield* api.get(Nodes, { name: "edge-1" })
        assert.include(ours.status?.conditions?.map(({ type }) => type) ?? [], "DeviceConnected")
        assert.strictEqual(yield* conflict, "False")
      })))
})

describe("the status of a Node", () => {
  it.live("is written over nothing that no watch has told of, and written all the same", () =>
    inWorld(10, ({ freeze }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const node = api.get(Nodes, { name: "edge-1" })
        yield* freeze
        const before = (yield* node).status?.conditions?.find(({ type }) => type === "Ready")
        // As another operator would, to which the device went for a while.
        const other = {
          type: "Ready",
          status: "False",
          reason: "DeviceDisconnected",
          lastTransitionTime: "2026-01-01T00:00:00Z"
        }
        yield* api.patch(Nodes, { name: "edge-1", subresource: "status" }, {
          type: "strategic",
          body: { status: { conditions: [other] } }
        })
        yield* Effect.sleep("10 minutes")
        const after = (yield* node).status?.conditions?.find(({ type }) => type === "Ready")
        assert.strictEqual(after?.status, "True")
        assert.isAbove(
          parseTimestamp(after?.lastTransitionTime) ?? 0,
          parseTimestamp(before?.lastTransitionTime) ?? 0,
          "it was False in between"
        )
      })))
})

describe("a Node of which nothing is new", () => {
  it.live("is written at heartbeats only, however slow the API server is", () =>
    simulate(4, () =>
      Effect.gen(function*() {
        let writes = 0
        const client = yield* Layer.build(clientWithFaults(({ method, path }) =>
          Effect.sync(() => {
            if (method === "GET" || !path.includes("/nodes/edge-1")) return {}
            writes += 1
            return { delay: "2 seconds" }
          })
        ))
        const device = yield* oneDevice
        yield* operated(device, yield* Effect.provideContext(KubeApi, client))
        writes = 0
        yield* Effect.sleep("30 minutes")
        // One in five minutes, give or take half.
        assert.isAtLeast(writes, 4)
        assert.isAtMost(writes, 12)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))
})

describe("the taint node.kubernetes.io/out-of-service", () => {
  const key = "node.kubernetes.io/out-of-service"
  const node = Effect.flatMap(KubeApi, (api) => api.get(Nodes, { name: "edge-1" }))
  const taint = (there: boolean) =>
    Effect.gen(function*() {
      const others = (yield* node).spec?.taints?.filter((each) => each.key !== key) ?? []
      const taints = there ? [...others, { key, effect: "NoExecute" }] : others
      yield* (yield* KubeApi).patch(Nodes, { name: "edge-1" }, { type: "merge", body: { spec: { taints } } })
    })
  const ready = Effect.sleep("1 minute").pipe(
    Effect.andThen(node),
    Effect.map(({ status }) => {
      const condition = status?.conditions?.find(({ type }) => type === "Ready")
      return `${condition?.status} ${condition?.reason}`
    })
  )

  it.live("gives up a device that is away, until it is taken off or the device is back", () =>
    simulate(5, () =>
      Effect.gen(function*() {
        const device = yield* oneDevice
        yield* operated(device, yield* KubeApi)
        yield* taint(true)
        assert.strictEqual(yield* ready, "True KubeletReady", "there")
        yield* device.agent.kill
        assert.strictEqual(yield* ready, "False OutOfService", "away")
        yield* taint(false)
        assert.strictEqual(yield* ready, "True KubeletReady", "away, without the taint")
        yield* taint(true)
        assert.strictEqual(yield* ready, "False OutOfService", "away, with the taint again")
        yield* device.agent.start
        assert.strictEqual(yield* ready, "True KubeletReady", "back")
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))
})

describe("the Lease of a Node", () => {
  it.live("is renewed as soon as by a kubelet once the API server is back", () =>
    Effect.forEach([6, 7, 8], (seed) =>
      simulate(seed, () =>
        Effect.gen(function*() {
          const cluster = yield* KubeApi
          let away = false
          const client = yield* Layer.build(
            clientWithFaults(() => Effect.succeed(away ? { refuseConnection: true } : {}))
          )
          const device = yield* oneDevice
          yield* operated(device, yield* Effect.provideContext(KubeApi, client))
          away = true
          yield* Effect.sleep("3 minutes")
          away = false
          const back = yield* Clock.currentTimeMillis
          yield* Effect.sleep("8 seconds")
          const { spec } = yield* cluster.get(Leases, { namespace: "kube-node-lease", name: "edge-1" })
          assert.isAbove(parseTimestamp(spec?.renewTime) ?? 0, back)
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)), { discard: true }))
})
