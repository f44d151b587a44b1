/** What the life of a device asks of the API server, request by request. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { ConfigMaps, Leases } from "../../../core/kube/kinds.ts"
import { KubeApi, type KubeApiError } from "../../../core/kube/KubeApi.ts"
import { Nodes } from "../../../core/kube/Node.ts"
import { type Pod, Pods } from "../../../core/kube/Pod.ts"
import { forever } from "../../fakes/runtime/Program.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { clientWithFaults, createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"

class NotYet extends Error {}

const eventually = <A, E, R>(look: Effect.Effect<A, E, R>, holds: (seen: A) => boolean) =>
  look.pipe(
    Effect.flatMap((seen) => holds(seen) ? Effect.succeed(seen) : Effect.fail(new NotYet(JSON.stringify(seen)))),
    Effect.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 120 })))
  )

const here = { namespace: "edge", name: "edge-1" }

const trueConditions = (kind: "EdgeDevice" | "Node") =>
  Effect.gen(function*(): Effect.fn.Return<ReadonlyArray<string>, KubeApiError, KubeApi> {
    const api = yield* KubeApi
    const conditions = kind === "Node"
      ? (yield* api.get(Nodes, { name: "edge-1" })).status?.conditions
      : (yield* api.get(EdgeDevices, here)).status?.conditions
    return (conditions ?? []).filter(({ status }) => status === "True").map(({ type }) => type)
  })
const ready = Effect.andThen(
  eventually(trueConditions("EdgeDevice"), (types) => types.includes("Ready")),
  eventually(trueConditions("Node"), (types) => types.includes("Ready") && types.includes("DeviceConnected"))
)
const gone = eventually(Effect.flip(trueConditions("EdgeDevice")), ({ reason }) => reason === "NotFound")

/** The operator and its device; `asked` has what the operator asks but its lists and watches, and `lose` picks answers that get lost. */
const inWorld = <E>(
  seed: number,
  story: (given: {
    readonly asked: Array<string>
    readonly device: Effect.Success<ReturnType<typeof makeDevice>>
  }) => Effect.Effect<void, E, KubeApi>,
  lose: (line: string) => boolean = () => false
) =>
  simulate(seed, () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const client = yield* Layer.build(clientWithFaults(({ method, path, query }) =>
        Effect.sync(() => {
          const line = `${method} ${path.replace(/^.*?(edgedevices|nodes|leases|pods|configmaps)/u, "$1")}`
          if (query.get("watch") === null && query.get("limit") === null) asked.push(line)
          if (query.get("fieldSelector")?.includes("nodeName") === true) asked.push(`${line} of a node`)
          return lose(line) ? { loseAnswer: true } : {}
        })
      ))
      yield* createNamespaces
      const device = yield* makeDevice("edge-1", 1)
      yield* device.runtime.script(() => true, { run: forever })
      yield* (yield* Effect.provideContext(makeOperator([device]), client)).start
      yield* Effect.sleep("5 seconds")
      asked.length = 0
      yield* story({ asked, device })
    }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie))

describe("the life of a device", () => {
  it.live("of one that is there costs five writes and no read, and three reads and three writes more at its end", () =>
    inWorld(1, ({ asked, device }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* api.create(EdgeDevices, device.object())
        yield* device.agent.start
        yield* ready
        assert.deepStrictEqual(asked.sort(), [
          "PATCH edgedevices/edge-1",
          "POST leases",
          "POST nodes",
          // What the link is, before the device may link; and what came of it.
          "PUT edgedevices/edge-1/status",
          "PUT edgedevices/edge-1/status"
        ])
        asked.length = 0
        yield* api.delete(EdgeDevices, here)
        yield* gone
        yield* Effect.sleep("1 minute")
        assert.deepStrictEqual(asked.sort(), [
          "DELETE leases/edge-1",
          "DELETE nodes/edge-1",
          // No watch is believed: pods go before the Node as long as that is this one's, and what was made for it meanwhile after it.
          "GET nodes/edge-1",
          "GET pods of a node",
          "GET pods of a node",
          "PATCH edgedevices/edge-1"
        ])
        const revoked = yield* Effect.flip(
          api.get(ConfigMaps, { namespace: "aranya", name: "aranya-revoked-devices" })
        )
        assert.strictEqual(revoked.reason, "NotFound")
      })))

  it.live("of one that comes later has a Node that waits for it", () =>
    inWorld(2, ({ asked, device }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* api.create(EdgeDevices, device.object())
        yield* Effect.sleep("3 seconds")
        assert.deepStrictEqual(asked.sort(), [
          "PATCH edgedevices/edge-1",
          "POST leases",
          "POST nodes",
          "PUT edgedevices/edge-1/status"
        ])
        assert.deepStrictEqual(yield* trueConditions("Node"), [])
        yield* device.agent.start
        yield* ready
      })))

  it.live("goes on where the answer to each first write is lost", () => {
    const lost = new Set<string>()
    return inWorld(
      3,
      ({ device }) =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          yield* api.create(EdgeDevices, device.object())
          yield* device.agent.start
          yield* ready
          const node = yield* api.get(Nodes, { name: "edge-1" })
          // The Node is whole a moment before its Lease is there.
          yield* eventually(
            api.get(Leases, { namespace: "kube-node-lease", name: "edge-1" }),
            ({ metadata }) => metadata.ownerReferences?.[0]?.uid === node.metadata.uid
          )
          yield* api.delete(EdgeDevices, here)
          yield* gone
          const left = yield* Effect.flip(api.get(Nodes, { name: "edge-1" }))
          assert.strictEqual(left.reason, "NotFound")
        }),
      (line) => {
        if (line.startsWith("GET") || lost.has(line)) return false
        lost.add(line)
        return true
      }
    )
  })

  it.live("has the pods that were bound to its name before it came, and asks for them only then", () =>
    inWorld(4, ({ asked, device }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const pod: Pod = {
          apiVersion: "v1",
          kind: "Pod",
          metadata: { namespace: "edge", name: "early" },
          spec: { nodeName: "edge-1", containers: [{ name: "main", image: "busybox:1.36", command: ["sleep", "9"] }] }
        }
        yield* eventually(Effect.option(api.create(Pods, pod)), (made) => made._tag === "Some")
        yield* Effect.sleep("1 second")
        yield* api.create(EdgeDevices, device.object())
        yield* device.agent.start
        yield* ready
        assert.deepStrictEqual(asked.filter((line) => line.endsWith("of a node")), ["GET pods of a node"])
        const phase = Effect.map(api.get(Pods, { namespace: "edge", name: "early" }), ({ status }) => status?.phase)
        yield* eventually(phase, (seen) => seen === "Running")
      })))
})
