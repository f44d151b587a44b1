/** Two operators, of which one holds the device and the other stands by. */
import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Layer, Schedule } from "effect"
import { type Fault, refuse } from "../../../adapters/kube/plane/memory/Faults.ts"
import type { ApiRequest } from "../../../adapters/kube/plane/request/ApiRequest.ts"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { Leases } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { type Node, Nodes } from "../../../core/kube/Node.ts"
import { nodeLease } from "../../../core/node/lease.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { clientWithFaults, createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"

const every = Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 300 }))

const outages: Readonly<Record<string, Fault>> = {
  refuses: { answer: refuse(503, "ServiceUnavailable", "away") },
  "is out of reach": { refuseConnection: true },
  "is silent": { silence: true }
}

interface Away {
  /** The requests that it is away for. */
  readonly of?: (request: ApiRequest) => boolean
  readonly time?: Duration.Input
}

/** An API that may be away for both of them, and a device that is held. */
const twoOperators = Effect.gen(function*() {
  const api = yield* KubeApi
  yield* createNamespaces
  const device = yield* makeDevice("edge-1", 1)
  let fault: Fault | undefined
  let concerns: (request: ApiRequest) => boolean = () => true
  const client = Layer.build(
    clientWithFaults((request) => Effect.succeed(fault !== undefined && concerns(request) ? fault : {}))
  )
  const one = yield* Effect.provideContext(makeOperator([device], undefined, undefined, "one"), yield* client)
  const two = yield* Effect.provideContext(makeOperator([device], undefined, undefined, "two"), yield* client)
  const link = Effect.map(
    api.get(EdgeDevices, { namespace: "edge", name: "edge-1" }),
    ({ status }) => `${status?.link?.holder} ${status?.link?.epoch}`
  )
  yield* one.start
  yield* two.start
  yield* api.create(EdgeDevices, device.object())
  yield* device.agent.start
  yield* api.get(Leases, { namespace: "kube-node-lease", name: "edge-1" }).pipe(Effect.retry(every))
  yield* Effect.sleep("2 minutes")
  return {
    device,
    kill: Effect.flatMap(link, (now) => now.startsWith("one") ? one.kill : two.kill),
    link,
    away: (how: Fault, { of = () => true, time = "3 minutes" }: Away = {}) =>
      Effect.gen(function*() {
        fault = how
        concerns = of
        yield* Effect.sleep(time)
        fault = undefined
      })
  }
})

describe("an operator that stands by", () => {
  for (const [how, fault] of Object.entries(outages)) {
    it.live(`takes no device from a healthy one after the API ${how} for a while`, () =>
      Effect.forEach([1, 2, 3], (seed) =>
        simulate(seed, () =>
          Effect.gen(function*() {
            const { away, link } = yield* twoOperators
            const before = yield* link
            yield* away(fault)
            yield* Effect.sleep("5 minutes")
            assert.strictEqual(yield* link, before)
          }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)), { discard: true }))
  }

  // Where it is silent the holder itself waits for half a minute after that, for an answer to what it wrote before.
  for (const how of ["refuses", "is out of reach"]) {
    const fault = outages[how] ?? {}
    it.live(`takes no device from a healthy one after the API ${how} for a while to all that is written`, () =>
      Effect.forEach([1, 2, 3], (seed) =>
        simulate(seed, () =>
          Effect.gen(function*() {
            const { away, link } = yield* twoOperators
            const before = yield* link
            yield* away(fault, { of: ({ method }) => method !== "GET" })
            yield* Effect.sleep("5 minutes")
            assert.strictEqual(yield* link, before)
          }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)), { discard: true }))
  }

  it.live("takes the device less and less often from another, where neither may renew the Lease", () =>
    simulate(7, () =>
      Effect.gen(function*() {
        const { away, kill, link } = yield* twoOperators
        const epoch = Effect.map(link, (now) => Number(now.split(" ")[1]))
        const before = yield* epoch
        yield* away({ answer: refuse(403, "Forbidden", "not yours") }, {
          of: ({ method, path }) => path.includes("/leases") && method !== "GET",
          time: "30 minutes"
        })
        const after = yield* epoch
        assert.isAbove(after, before)
        assert.isAtMost(after - before, 10)
        // Whoever has it renews it again, and is no sooner taken for dead than ever; nor later, once it is.
        yield* Effect.sleep("3 minutes")
        assert.strictEqual(yield* epoch, after)
        yield* kill
        yield* Effect.sleep("2 minutes")
        assert.strictEqual(yield* epoch, after + 1)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("takes the device of one that died", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        const { kill, link } = yield* twoOperators
        const before = yield* link
        yield* kill
        yield* Effect.sleep("2 minutes")
        assert.notStrictEqual(yield* link, before)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  describe("while a dead worker has the Node", () => {
    const workerDied = Effect.gen(function*() {
      const api = yield* KubeApi
      const node: Node = { apiVersion: "v1", kind: "Node", metadata: { name: "edge-1" }, spec: {} }
      const { metadata } = yield* api.create(Nodes, node)
      yield* api.create(Leases, nodeLease({ name: "edge-1", uid: metadata.uid ?? "" }, 0))
    })

    it.live("takes no device, as there is no Lease to renew", () =>
      simulate(4, () =>
        Effect.gen(function*() {
          yield* workerDied
          const { link } = yield* twoOperators
          const before = yield* link
          yield* Effect.sleep("10 minutes")
          assert.strictEqual(yield* link, before)
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

    it.live("takes the device of one that died once the Node is free", () =>
      simulate(5, () =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          yield* workerDied
          const { device, kill, link } = yield* twoOperators
          // It would have the other take it by coming there.
          yield* device.agent.kill
          const before = yield* link
          yield* kill
          yield* api.delete(Nodes, { name: "edge-1" })
          yield* Effect.sleep("3 minutes")
          assert.notStrictEqual(yield* link, before)
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

    it.live("takes leave of a deleted device whose holder died", () =>
      simulate(6, () =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          yield* workerDied
          const { device, kill } = yield* twoOperators
          yield* device.agent.kill
          yield* kill
          yield* api.delete(EdgeDevices, { namespace: "edge", name: "edge-1" })
          yield* Effect.sleep("5 minutes")
          const left = yield* Effect.flip(api.get(EdgeDevices, { namespace: "edge", name: "edge-1" }))
          assert.strictEqual(left.reason, "NotFound")
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))
  })
})
