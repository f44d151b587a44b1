/** Containers that run again though the API has pods of their policy run them once: what it is told, it takes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { type Pod, Pods } from "../../../core/kube/Pod.ts"
import { exits, forever } from "../../fakes/runtime/Program.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import {
  createNamespaces,
  makeDevice,
  makeOperator,
  type SimulatedDevice,
  worldLayerWith
} from "../../simulation/World.ts"

const place = { namespace: "edge", name: "job" }
const now = Effect.flatMap(KubeApi, (api) => api.get(Pods, place))

/** A device that runs this pod. */
const inWorld = <E>(
  spec: Partial<Pod["spec"]>,
  story: (device: SimulatedDevice) => Effect.Effect<void, E, KubeApi>
) =>
  simulate(1, () =>
    Effect.gen(function*() {
      const api = yield* KubeApi
      yield* createNamespaces
      const device = yield* makeDevice("edge-1", 1)
      yield* device.runtime.script(() => true, { run: forever, onTerm: { after: "1 second", code: 0 } })
      yield* device.runtime.script(({ container }) => container === "first", { run: exits(0, "1 second") })
      const operator = yield* makeOperator([device])
      yield* operator.start
      yield* api.create(EdgeDevices, device.object({}))
      yield* device.agent.start
      yield* Effect.sleep("1 minute")
      yield* api.create(Pods, {
        apiVersion: "v1",
        kind: "Pod",
        metadata: place,
        spec: {
          nodeName: "edge-1",
          automountServiceAccountToken: false,
          containers: [{ name: "main", image: "busybox:1.36" }],
          ...spec
        }
      })
      yield* Effect.sleep("1 minute")
      yield* story(device)
    }).pipe(Effect.scoped, Effect.provide(worldLayerWith("quick")), Effect.orDie))

describe("a container that runs again", () => {
  it.live.each(["Never", "OnFailure"])(
    "with another image is told of under %s",
    (restartPolicy) =>
      inWorld({ restartPolicy }, () =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          const image = "busybox:1.37"
          yield* api.patch(Pods, place, {
            type: "strategic",
            body: { spec: { containers: [{ name: "main", image }] } }
          })
          yield* Effect.sleep("2 minutes")
          const { status } = yield* now
          assert.strictEqual(status?.phase, "Running")
          const [main] = status?.containerStatuses ?? []
          assert.deepInclude(main, { image, restartCount: 1, ready: true })
          assert.isDefined(main?.state?.running)
        }))
  )

  it.live("is told of while its initialisation is repeated, which stays as it ended", () =>
    inWorld(
      { restartPolicy: "OnFailure", initContainers: [{ name: "first", image: "busybox:1.36" }] },
      (device) =>
        Effect.gen(function*() {
          const again = exits(0, "10 minutes")
          yield* device.runtime.script(({ attempt, container }) => container === "first" && attempt > 0, { run: again })
          yield* device.runtime.breakSandbox((yield* now).metadata.uid ?? "")
          yield* Effect.sleep("5 minutes")
          const inits = (yield* device.runtime.runs).filter(({ container }) => container === "first")
          assert.lengthOf(inits, 2)
          const { status } = yield* now
          assert.strictEqual(status?.initContainerStatuses?.[0]?.state?.terminated?.exitCode, 0)
          assert.isDefined(status?.containerStatuses?.[0]?.state?.waiting)
          const sandbox = status?.conditions?.find(({ type }) => type === "PodReadyToStartContainers")
          assert.strictEqual(sandbox?.status, "True")
          yield* Effect.sleep("10 minutes")
          const { status: after } = yield* now
          assert.deepInclude(after?.containerStatuses?.[0], { restartCount: 1, ready: true })
          assert.strictEqual(after?.initContainerStatuses?.[0]?.restartCount, 1)
        })
    ))
})
