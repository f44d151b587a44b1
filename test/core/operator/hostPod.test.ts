/** The pod that stands for a device itself: there as long as its Node is, whatever is done to it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeEvents } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Nodes } from "../../../core/kube/Node.ts"
import { type Pod, Pods } from "../../../core/kube/Pod.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"

class NotYet extends Error {}

const eventually = <A, E, R>(look: Effect.Effect<A, E, R>, holds: (seen: A) => boolean) =>
  look.pipe(
    Effect.flatMap((seen) => holds(seen) ? Effect.succeed(seen) : Effect.fail(new NotYet(JSON.stringify(seen)))),
    Effect.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 120 })))
  )

const here = { namespace: "edge", name: "edge-1" }

const hostPod = Effect.flatMap(KubeApi, (api) => api.get(Pods, here))
const conditionOf = ({ status }: Pod) => {
  const ready = status?.conditions?.find(({ type }) => type === "Ready")
  return `${status?.phase} ${ready?.status}${ready?.reason === undefined ? "" : ` ${ready.reason}`}`
}
const running = eventually(hostPod, (pod) => conditionOf(pod) === "Running True")

const inWorld = <E>(
  seed: number,
  story: (device: Effect.Success<ReturnType<typeof makeDevice>>) => Effect.Effect<void, E, KubeApi>,
  before: Effect.Effect<void, E, KubeApi> = Effect.void
) =>
  simulate(seed, () =>
    Effect.gen(function*() {
      const api = yield* KubeApi
      yield* createNamespaces
      const device = yield* makeDevice("edge-1", 1)
      yield* (yield* makeOperator([device])).start
      yield* Effect.sleep("5 seconds")
      yield* before
      yield* api.create(EdgeDevices, device.object())
      yield* device.agent.start
      yield* story(device)
    }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie))

describe("the host pod", () => {
  it.live("is a mirror pod that the Node owns, with one running container, and no pod of the device's", () =>
    inWorld(1, (device) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const { metadata, spec, status } = yield* running
        const node = yield* api.get(Nodes, { name: "edge-1" })
        assert.strictEqual(metadata.annotations?.["kubernetes.io/config.mirror"], "1")
        assert.deepStrictEqual(metadata.ownerReferences, [
          { apiVersion: "v1", kind: "Node", name: "edge-1", uid: node.metadata.uid ?? "", controller: true }
        ])
        assert.strictEqual(spec.nodeName, "edge-1")
        assert.deepStrictEqual(spec.containers.map(({ image, name }) => [name, image]), [
          ["host", "virtualimage.arhat.dev/host"]
        ])
        assert.deepStrictEqual(
          status?.containerStatuses?.map(({ ready, state }) => [ready, state?.running !== undefined]),
          [[true, true]]
        )
        assert.strictEqual(node.status?.allocatable?.["pods"], "11", "it takes the place of no workload")
        yield* Effect.sleep("10 minutes")
        assert.deepStrictEqual(yield* device.runtime.runs, [])
        assert.strictEqual((yield* hostPod).metadata.resourceVersion, (yield* running).metadata.resourceVersion)
      })))

  it.live("that somebody deletes is made anew at once, gracefully or by force", () =>
    inWorld(2, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        for (const options of [{}, { gracePeriodSeconds: 0 }]) {
          const { metadata } = yield* running
          yield* api.delete(Pods, here, options)
          yield* Effect.sleep("2 seconds")
          assert.notStrictEqual((yield* running).metadata.uid, metadata.uid)
        }
        const wasFailed = yield* running
        yield* api.patch(Pods, { ...here, subresource: "status" }, {
          type: "strategic",
          body: { status: { phase: "Failed" } }
        })
        assert.notStrictEqual(
          (yield* eventually(hostPod, (pod) => conditionOf(pod) === "Running True")).metadata.uid,
          wasFailed.metadata.uid,
          "one that others declared dead"
        )
      })))

  it.live("is made ever more slowly while somebody keeps deleting it, and at once again after one has lasted", () =>
    inWorld(8, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* running
        const seen = new Set<string | undefined>()
        const deleting = yield* Effect.gen(function*() {
          seen.add((yield* hostPod).metadata.uid)
          yield* api.delete(Pods, here, { gracePeriodSeconds: 0 })
        }).pipe(
          Effect.ignore,
          Effect.andThen(Effect.sleep("100 millis")),
          Effect.forever,
          Effect.forkChild
        )
        yield* Effect.sleep("10 minutes")
        assert.isAbove(seen.size, 5)
        assert.isBelow(seen.size, 15)
        yield* Fiber.interrupt(deleting)
        yield* Effect.sleep("10 minutes")
        const { metadata } = yield* hostPod
        yield* api.delete(Pods, here, { gracePeriodSeconds: 0 })
        yield* Effect.sleep("1 second")
        assert.notStrictEqual((yield* hostPod).metadata.uid, metadata.uid)
      })))

  it.live("follows its Node when that is made anew", () =>
    inWorld(3, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* running
        yield* api.delete(Nodes, { name: "edge-1" })
        const owner = Effect.map(hostPod, ({ metadata }) => metadata.ownerReferences?.[0]?.uid)
        yield* eventually(
          Effect.all({ node: Effect.option(api.get(Nodes, { name: "edge-1" })), owner: Effect.option(owner) }),
          ({ node, owner }) => node._tag === "Some" && owner._tag === "Some" && node.value.metadata.uid === owner.value
        )
        yield* running
      })))

  it.live("says that its device is away, and that it is back", () =>
    inWorld(4, (device) =>
      Effect.gen(function*() {
        const before = yield* running
        yield* device.agent.kill
        yield* eventually(hostPod, (pod) => conditionOf(pod) === "Running False DeviceDisconnected")
        yield* device.agent.start
        assert.strictEqual((yield* running).metadata.uid, before.metadata.uid)
      })))

  it.live("goes with its EdgeDevice", () =>
    inWorld(5, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* running
        yield* api.delete(EdgeDevices, here)
        yield* eventually(Effect.flip(api.get(EdgeDevices, here)), ({ reason }) => reason === "NotFound")
        assert.strictEqual((yield* Effect.flip(hostPod)).reason, "NotFound")
        yield* Effect.sleep("5 minutes")
        assert.strictEqual((yield* Effect.flip(hostPod)).reason, "NotFound")
      })))

  const own = { metadata: here, spec: { containers: [{ name: "main", image: "own" }] } }
  it.live("leaves a pod of that name alone that is somebody's own, and takes its place once it is gone", () =>
    inWorld(6, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* Effect.sleep("1 minute")
        assert.strictEqual((yield* hostPod).spec.containers[0]?.image, "own")
        const told = (yield* api.list(KubeEvents, { namespace: "edge" })).filter(({ reason }) =>
          reason === "HostPodNameTaken"
        )
        assert.strictEqual(told.length, 1)
        yield* api.delete(Pods, here, { gracePeriodSeconds: 0 })
        yield* running
      }), Effect.flatMap(KubeApi, (api) => Effect.asVoid(api.create(Pods, own)))))

  it.live("of another making is nobody's to run either: a mirror pod goes as soon as it is deleted", () =>
    inWorld(7, (device) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* running
        const at = { namespace: "edge", name: "static" }
        yield* api.create(Pods, {
          metadata: { ...at, annotations: { "kubernetes.io/config.mirror": "x" } },
          spec: { nodeName: "edge-1", containers: [{ name: "main", image: "static" }] }
        })
        yield* Effect.sleep("1 minute")
        assert.deepStrictEqual(yield* device.runtime.runs, [])
        yield* api.delete(Pods, at)
        yield* Effect.sleep("2 seconds")
        assert.strictEqual((yield* Effect.flip(api.get(Pods, at))).reason, "NotFound")
      })))
})
