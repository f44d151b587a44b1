import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Schedule } from "effect"
import { refuse } from "../../adapters/kube/plane/memory/Faults.ts"
import type { ApiRequest } from "../../adapters/kube/plane/request/ApiRequest.ts"
import { EdgeDevices } from "../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../core/kube/KubeApi.ts"
import { Nodes } from "../../core/kube/Node.ts"
import { type Pod, Pods } from "../../core/kube/Pod.ts"
import { exits, forever } from "../fakes/runtime/Program.ts"
import { simulate } from "./VirtualTime.ts"
import {
  clientWithFaults,
  createNamespaces,
  makeDevice,
  makeOperator,
  type Program,
  type SimulatedDevice,
  worldLayer
} from "./World.ts"

class NotYet extends Error {}

/** Looks every second of virtual time until it holds; a minute without is a failure that says what was seen last. */
const eventually = <A, E, R>(look: Effect.Effect<A, E, R>, holds: (seen: A) => boolean, limit = 120) =>
  look.pipe(
    Effect.flatMap((seen) =>
      holds(seen) ? Effect.succeed(seen) : Effect.fail(new NotYet(JSON.stringify(seen, null, 1)))
    ),
    Effect.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: limit })))
  )

const pod = (name: string, node: string): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name },
  spec: {
    nodeName: node,
    restartPolicy: "Always",
    containers: [{ name: "main", image: "busybox:1.36", command: ["sleep", "1000"] }]
  }
})

/** Everything runs, and the device has its Node. */
const upAndKnown = Effect.fnUntraced(function*(operator: Program, device: SimulatedDevice) {
  const api = yield* KubeApi
  yield* operator.start
  yield* api.create(EdgeDevices, device.object())
  yield* device.agent.start
  yield* eventually(Effect.option(api.get(Nodes, { name: "edge-1" })), (seen) => seen._tag === "Some")
})

const phaseOf = (name: string) =>
  Effect.gen(function*() {
    const api = yield* KubeApi
    return yield* api.get(Pods, { namespace: "edge", name })
  })

describe("the whole line, in virtual time", () => {
  it.live("runs a pod from the API to a container, and takes it away again", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* createNamespaces
        const device = yield* makeDevice("edge-1", 1)
        yield* device.runtime.image("busybox:1.36", {})
        yield* device.runtime.script(() => true, { run: forever })
        const operator = yield* makeOperator([device])
        yield* operator.start
        yield* api.create(EdgeDevices, device.object())
        yield* device.agent.start

        const node = yield* eventually(
          api.get(Nodes, { name: "edge-1" }),
          ({ status }) => status?.conditions?.some(({ status, type }) => type === "Ready" && status === "True") ?? false
        )
        assert.deepInclude(node.metadata.labels, { "arhat.dev/role": "EdgeDevice" })

        yield* api.create(Pods, pod("web", "edge-1"))
        const running = yield* eventually(phaseOf("web"), ({ status }) => status?.phase === "Running")
        assert.strictEqual(running.status?.containerStatuses?.[0]?.restartCount, 0)
        assert.lengthOf(yield* device.runtime.runs, 1)

        yield* api.delete(Pods, { namespace: "edge", name: "web" })
        yield* eventually(
          Effect.flip(phaseOf("web")),
          (error) => error.reason === "NotFound"
        )
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie), { logs: process.env["LOGS"] === "1" }))

  it.live("waits for a device whose disk is full from the beginning", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* createNamespaces
        const deaths: Array<string> = []
        const device = yield* makeDevice("edge-1", 1, (why) => Effect.sync(() => void deaths.push(why)))
        yield* (yield* makeOperator([device])).start
        yield* api.create(EdgeDevices, device.object())
        yield* device.journal.fail("Full")
        yield* device.agent.start
        yield* Effect.sleep("3 minutes")
        yield* device.journal.heal
        yield* eventually(
          Effect.option(api.get(Nodes, { name: "edge-1" })),
          (seen) =>
            seen._tag === "Some" &&
            (seen.value.status?.conditions?.some(({ status, type }) => type === "Ready" && status === "True") ?? false),
          600
        )
        assert.deepStrictEqual(deaths, [])
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live.each(
    [
      [500, "InternalError"],
      [409, "Conflict"]
    ] as const
  )("keeps pods where they are, for ever, whose device has never come and whose first patch failed with %i", (
    [code, reason]
  ) =>
    simulate(1, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* createNamespaces
        const device = yield* makeDevice("edge-1", 1)
        let left = 3
        const faulty = yield* Layer.build(
          clientWithFaults((request: ApiRequest) =>
            Effect.succeed(
              request.method === "PATCH" && request.path.includes("/pods/web") && left-- > 0
                ? { answer: refuse(code, reason, "not now") }
                : {}
            )
          )
        )
        yield* (yield* makeOperator([device]).pipe(Effect.provideContext(faulty))).start
        yield* api.create(EdgeDevices, device.object())
        yield* eventually(Effect.option(api.get(Nodes, { name: "edge-1" })), (seen) => seen._tag === "Some")
        yield* api.create(Pods, pod("web", "edge-1"))
        yield* Effect.sleep("1 hour")
        const { spec } = yield* phaseOf("web")
        const tolerations = (spec as { readonly tolerations?: ReadonlyArray<{ readonly tolerationSeconds?: number }> })
          .tolerations ?? []
        assert.isAbove(tolerations.length, 0)
        assert.isTrue(tolerations.every(({ tolerationSeconds }) => tolerationSeconds === undefined))
        assert.isBelow(left, 1)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("a pod that ended and is deleted is forgotten by the device, in the same session", () =>
    simulate(4, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* createNamespaces
        const device = yield* makeDevice("edge-1", 1)
        yield* device.runtime.script(() => true, { run: exits(3) })
        const operator = yield* makeOperator([device])
        yield* operator.start
        yield* api.create(EdgeDevices, device.object())
        yield* device.agent.start
        yield* eventually(api.list(Nodes), (nodes) => nodes.length === 1)
        const { spec } = pod("web", "edge-1")
        yield* api.create(Pods, { ...pod("web", "edge-1"), spec: { ...spec, restartPolicy: "Never" } })
        yield* eventually(phaseOf("web"), ({ status }) => status?.phase === "Failed")
        // Until the device has heard that this was taken.
        yield* Effect.sleep("10 seconds")
        assert.lengthOf(yield* device.rows("assignments"), 1)
        yield* api.delete(Pods, { namespace: "edge", name: "web" })
        yield* eventually(device.rows("assignments"), (rows) => rows.length === 0, 30)
        yield* eventually(device.rows("attempts"), (rows) => rows.length === 0, 30)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("does not take a device's word about another device's pod", () =>
    simulate(2, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* createNamespaces
        const honest = yield* makeDevice("edge-1", 1)
        const liar = yield* makeDevice("edge-2", 2)
        for (const device of [honest, liar]) yield* device.runtime.script(() => true, { run: forever })
        const operator = yield* makeOperator([honest, liar])
        yield* operator.start
        for (const device of [honest, liar]) {
          yield* api.create(EdgeDevices, device.object())
          yield* device.agent.start
        }
        yield* eventually(
          api.list(Nodes),
          (nodes) => nodes.length === 2
        )
        yield* api.create(Pods, pod("web", "edge-1"))
        const running = yield* eventually(phaseOf("web"), ({ status }) => status?.phase === "Running")
        // The liar's journal claims the very same pod, ended.
        yield* honest.agent.kill
        yield* liar.agent.kill
        for (const table of ["assignments", "pods", "attempts"] as const) {
          const rows = yield* honest.rows(table)
          yield* liar.putRows(table, rows)
        }
        yield* liar.runtime.script(() => true, { run: exits(1) })
        yield* liar.agent.start
        yield* Effect.sleep("2 minutes")
        const after = yield* phaseOf("web")
        assert.strictEqual(after.status?.phase, "Running")
        assert.strictEqual(after.metadata.uid, running.metadata.uid)
        assert.strictEqual(after.status?.containerStatuses?.[0]?.restartCount, 0)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("a pod comes and goes in fourteen frames", () =>
    simulate(5, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* createNamespaces
        const device = yield* makeDevice("edge-1", 1)
        yield* device.runtime.script(() => true, { run: forever })
        const operator = yield* makeOperator([device])
        yield* upAndKnown(operator, device)
        yield* api.create(Pods, pod("first", "edge-1"))
        yield* eventually(phaseOf("first"), ({ status }) => status?.phase === "Running")
        yield* Effect.sleep("10 seconds")
        const frames = Effect.map(
          device.transport.traffic,
          ({ toDevice, toOperator }) => toDevice.frames + toOperator.frames
        )
        const before = yield* frames
        yield* api.create(Pods, pod("web", "edge-1"))
        yield* eventually(phaseOf("web"), ({ status }) => status?.phase === "Running")
        yield* Effect.sleep("5 seconds")
        yield* api.delete(Pods, { namespace: "edge", name: "web" })
        yield* eventually(Effect.result(phaseOf("web")), ({ _tag }) => _tag === "Failure")
        yield* Effect.sleep("5 seconds")
        assert.isAtMost((yield* frames) - before, 14)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("restarts nothing over a link that is dead for two minutes, and keeps the Node Ready", () =>
    simulate(3, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* createNamespaces
        const device = yield* makeDevice("edge-1", 1)
        yield* device.runtime.script(() => true, { run: forever })
        const operator = yield* makeOperator([device])
        yield* operator.start
        yield* api.create(EdgeDevices, device.object())
        yield* device.agent.start
        const conditionOf = (type: string) =>
          Effect.map(api.get(Nodes, { name: "edge-1" }), ({ status }) =>
            status?.conditions?.find((condition) => condition.type === type)?.status)
        yield* eventually(Effect.option(conditionOf("Ready")), (seen) =>
          seen._tag === "Some" && seen.value === "True")
        yield* api.create(Pods, pod("web", "edge-1"))
        const before = yield* eventually(phaseOf("web"), ({ status }) => status?.phase === "Running")

        yield* device.transport.weather({ blackHole: true })
        yield* device.transport.cut()
        yield* eventually(conditionOf("DeviceConnected"), (seen) => seen === "False", 300)
        yield* Effect.sleep("2 minutes")
        assert.strictEqual(yield* conditionOf("Ready"), "True")
        yield* device.transport.weather({ blackHole: false })
        yield* eventually(conditionOf("DeviceConnected"), (seen) => seen === "True", 300)

        const after = yield* eventually(phaseOf("web"), ({ status }) =>
          status?.conditions?.some(({ status, type }) =>
            type === "Ready" && status === "True"
          ) ?? false)
        assert.strictEqual(after.metadata.uid, before.metadata.uid)
        assert.strictEqual(
          after.status?.containerStatuses?.[0]?.containerID,
          before.status?.containerStatuses?.[0]?.containerID
        )
        assert.strictEqual(after.status?.containerStatuses?.[0]?.restartCount, 0)
        assert.lengthOf(yield* device.runtime.runs, 1)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("ends a pod before it leaves the API, also where the device could never say that it has it", () =>
    simulate(4, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* createNamespaces
        const device = yield* makeDevice("edge-1", 1)
        yield* device.runtime.script(() => true, { run: forever })
        const operator = yield* makeOperator([device])
        yield* upAndKnown(operator, device)

        yield* device.transport.weather({ blackHole: true }, "toOperator")
        yield* api.create(Pods, pod("web", "edge-1"))
        yield* eventually(device.runtime.runs, (runs) => runs.length === 1)
        // By then the operator has given up waiting for an answer, in a session that lives.
        yield* Effect.sleep("90 seconds")
        yield* api.delete(Pods, { namespace: "edge", name: "web" })
        yield* device.transport.weather({ blackHole: false }, "toOperator").pipe(
          Effect.delay("1 minute"),
          Effect.forkChild
        )
        yield* eventually(Effect.result(phaseOf("web")), (seen) => {
          if (seen._tag === "Success") return false
          const running = Effect.runSync(device.runtime.runs).filter(({ finishedAt }) => finishedAt === undefined)
          assert.lengthOf(running, 0, "the API forgets only what has ended")
          return seen.failure.reason === "NotFound"
        })
        assert.lengthOf(yield* device.runtime.runs, 1)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("takes a pod away whose deletion is first heard of with the answer to its last word", () =>
    simulate(5, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* createNamespaces
        const device = yield* makeDevice("edge-1", 1)
        yield* device.runtime.script(() => true, { run: exits(0, "30 seconds") })
        let frozen: Effect.Effect<void> = Effect.void
        let busy = false
        const weather = ({ method }: ApiRequest) =>
          Effect.succeed(
            busy && method === "PATCH"
              ? { answer: refuse(500, "InternalError", "etcd is slow") }
              : { holdWatch: Effect.suspend(() => frozen) }
          )
        const operatorApi = yield* Layer.build(Layer.fresh(clientWithFaults(weather)))
        const operator = yield* makeOperator([device]).pipe(Effect.provideContext(operatorApi))
        yield* upAndKnown(operator, device)

        const once = pod("once", "edge-1")
        yield* api.create(Pods, { ...once, spec: { ...once.spec, restartPolicy: "Never" } })
        yield* eventually(phaseOf("once"), ({ status }) => status?.phase === "Running")
        const thaw = yield* Deferred.make<void>()
        frozen = Deferred.await(thaw)
        busy = true
        yield* api.delete(Pods, { namespace: "edge", name: "once" })
        yield* eventually(device.runtime.runs, ([run]) => run?.finishedAt !== undefined)
        yield* Effect.sleep("1 second")
        busy = false
        yield* Effect.sleep("10 seconds")
        yield* Deferred.succeed(thaw, undefined)
        yield* eventually(Effect.result(phaseOf("once")), ({ _tag }) => _tag === "Failure")
        yield* eventually(device.rows("assignments"), (rows) => rows.length === 0)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))
})
