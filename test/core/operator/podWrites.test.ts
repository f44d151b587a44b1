import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { type ContainerState, type Pod, Pods } from "../../../core/kube/Pod.ts"
import type { DeviceHold } from "../../../core/operator/DeviceHold.ts"
import { PodIndex } from "../../../core/operator/PodIndex.ts"
import { podWrites } from "../../../core/operator/podWrites.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { createNamespaces, worldLayer } from "../../simulation/World.ts"

const holding: DeviceHold = {
  epoch: () => 3,
  stands: (epoch) => Effect.succeed(epoch === 3),
  standsYet: Effect.succeed(true)
}

const inWorld = <E>(story: (pod: Pod) => Effect.Effect<void, E, KubeApi | PodIndex>) =>
  simulate(1, () =>
    Effect.gen(function*() {
      const api = yield* KubeApi
      yield* createNamespaces
      // The namespace gets its service account.
      yield* Effect.sleep("1 second")
      yield* story(
        yield* api.create(Pods, {
          apiVersion: "v1",
          kind: "Pod",
          metadata: { namespace: "edge", name: "job" },
          spec: { nodeName: "edge-1", containers: [{ name: "main", image: "busybox:1.36" }] }
        })
      )
    }).pipe(Effect.scoped, Effect.provide(PodIndex.layer.pipe(Layer.provideMerge(worldLayer))), Effect.orDie))

const phaseNow = Effect.flatMap(
  KubeApi,
  (api) => Effect.map(api.get(Pods, { namespace: "edge", name: "job" }), ({ status }) => status?.phase)
)

describe("the status of a pod", () => {
  it.live("is not written over by an operator from which the device was taken while its request was under way", () =>
    inWorld((pod) =>
      Effect.gen(function*() {
        const { writeStatus } = yield* podWrites
        yield* writeStatus(holding, pod, { phase: "Running" })
        // It knows the pod as it was, and has not heard yet that it lost the device.
        const deposed: DeviceHold = {
          epoch: () => 2,
          stands: () => Effect.succeed(false),
          standsYet: Effect.succeed(false)
        }
        const refused = yield* Effect.flip(writeStatus(deposed, pod, { phase: "Pending" }))
        assert.strictEqual(refused.reason, "Conflict")
        assert.strictEqual(yield* phaseNow, "Running")
        // Once it has heard, it does not even ask.
        const silent: DeviceHold = {
          epoch: () => undefined,
          stands: () => Effect.die("asks"),
          standsYet: Effect.die("asks")
        }
        assert.strictEqual((yield* Effect.flip(writeStatus(silent, pod, { phase: "Pending" }))).reason, "Conflict")
      })
    ))

  it.live("is taken where the device runs an ephemeral container again, which stays as it ended", () =>
    inWorld((pod) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const { writeStatus } = yield* podWrites
        const says = (phase: "Pending" | "Running", state: ContainerState) =>
          writeStatus(holding, pod, {
            phase,
            ephemeralContainerStatuses: [{ name: "e", image: "", imageID: "", ready: false, restartCount: 0, state }]
          })
        yield* says("Pending", { terminated: { exitCode: 1 } })
        yield* says("Running", { running: {} })
        const { status } = yield* api.get(Pods, { namespace: "edge", name: "job" })
        assert.strictEqual(status?.phase, "Running")
        assert.strictEqual(status?.ephemeralContainerStatuses?.[0]?.state?.terminated?.exitCode, 1)
      })
    ))

  it.live("does not go back by an operator that has not heard that it lost the device, though it knows the newest", () =>
    inWorld((pod) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const { writeStatus } = yield* podWrites
        const now = api.get(Pods, { namespace: "edge", name: "job" })
        const restarted = (restartCount: number) => ({
          phase: "Running",
          containerStatuses: [{ name: "main", image: "", imageID: "", ready: true, restartCount }]
        } as const)
        yield* writeStatus(holding, pod, restarted(3))
        const deposed: DeviceHold = {
          epoch: () => 2,
          stands: () => Effect.succeed(false),
          standsYet: Effect.succeed(false)
        }
        const refused = yield* Effect.flip(writeStatus(deposed, yield* now, restarted(2)))
        assert.strictEqual(refused.reason, "Conflict")
        assert.strictEqual((yield* now).status?.containerStatuses?.[0]?.restartCount, 3)
        // A device whose disk forgot them counts anew.
        yield* writeStatus(holding, yield* now, restarted(0))
        assert.strictEqual((yield* now).status?.containerStatuses?.[0]?.restartCount, 0)
      })
    ))

  it.live("is written by whoever holds the device, whatever others wrote meanwhile", () =>
    inWorld((pod) =>
      Effect.gen(function*() {
        const { writeStatus, writeStatusOnce } = yield* podWrites
        yield* writeStatus(holding, pod, { phase: "Running" })
        assert.strictEqual((yield* Effect.flip(writeStatusOnce(pod, { phase: "Failed" }))).reason, "Conflict")
        yield* writeStatus(holding, pod, { phase: "Failed" })
        assert.strictEqual(yield* phaseNow, "Failed")
      })
    ))

  it.live("leaves no terminal phase, not even for the other one", () =>
    inWorld((pod) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const { writeStatus } = yield* podWrites
        const now = api.get(Pods, { namespace: "edge", name: "job" })
        yield* writeStatus(holding, pod, { phase: "Running" })
        yield* writeStatus(holding, yield* now, { phase: "Succeeded" })
        const over = yield* now
        for (const other of ["Running", "Failed"] as const) {
          yield* writeStatus(holding, over, { phase: other })
          assert.strictEqual(yield* phaseNow, "Succeeded")
        }
        yield* writeStatus(holding, over, { phase: "Succeeded", reason: "Completed" })
        assert.strictEqual((yield* now).status?.reason, "Completed")
      })
    ))

  it.live("takes away the addresses that are withheld, keeps those that it does not name, and replaces others", () =>
    inWorld((pod) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const { writeStatus } = yield* podWrites
        const now = api.get(Pods, { namespace: "edge", name: "job" })
        const shown = Effect.map(now, ({ status = {} }) => [status.hostIP, status.hostIPs, status.podIP, status.podIPs])
        const list = (...ips: ReadonlyArray<string>) => ips.map((ip) => ({ ip }))
        yield* writeStatus(holding, pod, { phase: "Running", hostIPs: [], podIPs: [] })
        assert.deepStrictEqual(yield* shown, [undefined, undefined, undefined, undefined])
        const host = { hostIP: "192.168.7.9", hostIPs: list("192.168.7.9") }
        yield* writeStatus(holding, yield* now, { ...host, podIP: "10.0.0.1", podIPs: list("10.0.0.1", "fd00::1") })
        yield* writeStatus(holding, yield* now, { podIP: "10.0.0.2", podIPs: list("10.0.0.2") })
        assert.deepStrictEqual(yield* shown, [host.hostIP, host.hostIPs, "10.0.0.2", list("10.0.0.2")])
        yield* writeStatus(holding, yield* now, { ...host, podIPs: [] })
        assert.deepStrictEqual(yield* shown, [host.hostIP, host.hostIPs, undefined, undefined])
        yield* writeStatus(holding, yield* now, { hostIPs: [], podIPs: [] })
        assert.deepStrictEqual(yield* shown, [undefined, undefined, undefined, undefined])
      })
    ))
})
