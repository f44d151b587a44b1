import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch, Schedule, Stream } from "effect"
import { ControlPlane } from "../../../adapters/kube/plane/ControlPlane.ts"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Nodes } from "../../../core/kube/Node.ts"
import { type Pod, Pods } from "../../../core/kube/Pod.ts"
import { forever } from "../../fakes/runtime/Program.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"

const every = Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 300 }))

/** Looks every second until it holds. */
const until = <E, R>(look: Effect.Effect<boolean, E, R>) =>
  Effect.flatMap(look, (holds) => holds ? Effect.void : Effect.fail("not yet" as const)).pipe(Effect.retry(every))

const web: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name: "web" },
  spec: {
    nodeName: "edge-1",
    restartPolicy: "Always",
    containers: [{ name: "main", image: "busybox:1.36", command: ["sleep", "1000"] }]
  }
}

const restarts = (pod: Pod) => pod.status?.containerStatuses?.[0]?.restartCount ?? 0

/** A device that one of two operators has; of the other the watch of pods tells only while it may. */
const twoOperators = Effect.gen(function*() {
  const api = yield* KubeApi
  yield* createNamespaces
  const device = yield* makeDevice("edge-1", 1)
  yield* device.runtime.script(() => true, { run: forever })
  const tells = yield* Latch.make(true)
  const observe = ((resource, selection, options) =>
    resource.plural === "pods"
      ? Stream.tap(api.observe(resource, selection, options), () => tells.await)
      : api.observe(resource, selection, options)) as typeof api.observe
  const one = yield* makeOperator([device], undefined, undefined, "one")
  const two = yield* makeOperator([device], undefined, undefined, "two").pipe(
    Effect.provideService(KubeApi, { ...api, observe })
  )
  yield* one.start
  yield* api.create(EdgeDevices, device.object())
  yield* device.agent.start
  yield* until(Effect.match(api.get(Nodes, { name: "edge-1" }), { onFailure: () => false, onSuccess: () => true }))
  yield* two.start
  yield* Effect.sleep("1 minute")
  return {
    api,
    device,
    tells,
    pod: api.get(Pods, { namespace: "edge", name: "web" }),
    /** The device loses the first operator, which is gone; a minute later it comes to the other. */
    handOver: <A, E>(meanwhile: Effect.Effect<A, E>) =>
      device.transport.refuse("Refused").pipe(
        Effect.andThen(device.transport.cut()),
        Effect.andThen(one.kill),
        Effect.andThen(meanwhile),
        Effect.andThen(Effect.sleep("1 minute")),
        Effect.andThen(device.transport.refuse(undefined))
      )
  }
})

describe("a device that was another operator's for a while", () => {
  it.live("is believed by the first about what it said then, not about what it had said before", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const plane = yield* ControlPlane
        yield* createNamespaces
        const device = yield* makeDevice("edge-1", 1)
        yield* device.runtime.script(() => true, { run: forever })
        const one = yield* makeOperator([device], undefined, undefined, "one")
        const two = yield* makeOperator([device], undefined, undefined, "two")
        yield* one.start
        yield* two.start
        yield* api.create(EdgeDevices, device.object())
        yield* device.agent.start
        yield* until(
          Effect.match(api.get(Nodes, { name: "edge-1" }), { onFailure: () => false, onSuccess: () => true })
        )
        yield* api.create(Pods, web)
        const pod = api.get(Pods, { namespace: "edge", name: "web" })
        /** It dials whichever it meets, until that is the one. */
        const comesTo = (name: string) =>
          Effect.gen(function*() {
            const { status } = yield* api.get(EdgeDevices, { namespace: "edge", name: "edge-1" })
            const connected = status?.conditions?.find(({ type }) => type === "Connected")?.status === "True"
            if (connected && status?.link?.holder?.startsWith(name) === true) return true
            if (connected) yield* device.transport.cut()
            return false
          }).pipe(Effect.delay("10 seconds"), until)
        const readyAgain = until(Effect.map(pod, ({ status }) =>
          status?.conditions?.some(({ status, type }) =>
            type === "Ready" && status === "True"
          ) ?? false))

        yield* comesTo("one")
        yield* readyAgain
        yield* comesTo("two")
        yield* device.runtime.crash(() =>
          true, 1)
        yield* until(Effect.map(pod, (now) => restarts(now) === 1))
        yield* device.transport.refuse("Refused")
        yield* device.transport.cut()
        yield* until(
          Effect.map(pod, ({ status }) =>
            status?.conditions?.some(({ reason }) =>
              reason === "DeviceDisconnected"
            ) ?? false)
        )
        let least = 1
        plane.world.store.listen("pods", "all", ({ revision }) => {
          const told = revision.object as unknown as Pod
          if (told.metadata.name === "web") least = Math.min(least, restarts(told))
        })
        yield* two.kill
        yield* device.transport.refuse(undefined)
        yield* comesTo("one")
        yield* readyAgain
        assert.strictEqual(least, 1, "restarts never go down")
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("is not given an older pod by the next, whose watch has not told of the newer one yet", () =>
    simulate(3, () =>
      Effect.gen(function*() {
        const { api, device, handOver, pod, tells } = yield* twoOperators
        yield* api.create(Pods, web)
        yield* until(Effect.map(pod, ({ status }) => status?.phase === "Running"))
        yield* tells.close
        yield* api.patch(Pods, { namespace: "edge", name: "web" }, {
          type: "strategic",
          body: { spec: { containers: [{ name: "main", image: "busybox:1.37" }] } }
        })
        yield* until(Effect.map(pod, (now) => restarts(now) === 1))
        yield* handOver(Effect.void)
        yield* Effect.sleep("2 minutes")
        yield* tells.open
        yield* Effect.sleep("2 minutes")
        assert.lengthOf(yield* device.runtime.runs, 2)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("is heard by the next also where that one's watch has not told of its pods yet", () =>
    simulate(2, () =>
      Effect.gen(function*() {
        const { api, device, handOver, pod, tells } = yield* twoOperators
        yield* tells.close
        yield* api.create(Pods, web)
        yield* until(Effect.map(pod, ({ status }) => status?.phase === "Running"))
        yield* handOver(device.runtime.crash(() => true, 1))
        yield* until(Effect.map(pod, (now) => restarts(now) === 1))
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))
})
