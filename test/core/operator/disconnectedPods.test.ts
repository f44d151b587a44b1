import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { KubeEvents } from "../../../core/kube/kinds.ts"
import { KubeApi, KubeApiError } from "../../../core/kube/KubeApi.ts"
import { Pods } from "../../../core/kube/Pod.ts"
import { OperatorSettings } from "../../../core/operator/OperatorSettings.ts"
import { exits } from "../../fakes/runtime/Program.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { makeOperator, worldLayer } from "../../simulation/World.ts"
import { oneDevice, operated } from "./oneDevice.ts"

const createPodOf = Effect.fnUntraced(function*(...names: ReadonlyArray<string>) {
  yield* (yield* KubeApi).create(Pods, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "edge", name: "web" },
    spec: {
      nodeName: "edge-1",
      restartPolicy: "OnFailure",
      containers: names.map((name) => ({ name, image: "busybox:1.36", command: ["sleep", "1000"] }))
    }
  })
})
const createPod = createPodOf("main")

const ready = Effect.gen(function*() {
  const { status } = yield* (yield* KubeApi).get(Pods, { namespace: "edge", name: "web" })
  return status?.conditions?.find(({ type }) => type === "Ready")
})

const told = Effect.gen(function*() {
  const events = yield* (yield* KubeApi).list(KubeEvents, { namespace: "edge" })
  return events.flatMap(({ reason = "" }) =>
    reason === "DeviceDisconnected" || reason === "DeviceConnected" ? reason : []
  )
})

/** Longer than a session outlives its connection. */
const patient = <A, E, R>(work: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    OperatorSettings,
    (settings) => Effect.provideService(work, OperatorSettings, { ...settings, disconnectGrace: "10 minutes" })
  )

describe("the pods of a device that was away and goes on with its session", () => {
  it.live(
    "are ready again, also where the API was away as it came back",
    () =>
      simulate(1, () =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          const device = yield* oneDevice
          let away = false
          const down = new KubeApiError({ reason: "Unavailable", status: 503, detail: "down" })
          const unlessAway = <A>(answer: Effect.Effect<A, KubeApiError>) =>
            Effect.suspend(() => away ? Effect.fail(down) : answer)
          yield* operated(device, {
            ...api,
            get: (resource, at) => unlessAway(api.get(resource, at)),
            patch: (resource, at, change) => unlessAway(api.patch(resource, at, change)),
            replace: (resource, object, options) => unlessAway(api.replace(resource, object, options))
          })
          yield* createPod
          yield* Effect.sleep("5 minutes")
          assert.strictEqual((yield* ready)?.status, "True")
          yield* device.transport.weather({ blackHole: true })
          yield* Effect.sleep("4 minutes")
          assert.deepInclude(yield* ready, { status: "False", reason: "DeviceDisconnected" })
          away = true
          yield* device.transport.weather({ blackHole: false })
          yield* Effect.sleep("70 seconds")
          away = false
          yield* Effect.sleep("2 minutes")
          assert.strictEqual((yield* ready)?.status, "True")
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)),
    60_000
  )
})

describe("the pods of a device that is back", () => {
  it.live(
    "are not ready for their own reasons again, where they were not ready before",
    () =>
      simulate(1, () =>
        Effect.gen(function*() {
          const device = yield* oneDevice
          yield* device.runtime.script(({ container }) => container === "done", { run: exits(0, "2 seconds") })
          yield* operated(device, yield* KubeApi)
          yield* createPodOf("main", "done")
          yield* Effect.sleep("5 minutes")
          const before = yield* ready
          assert.deepInclude(before, { status: "False", reason: "ContainersNotReady" })
          yield* device.transport.refuse("Refused")
          yield* device.transport.cut()
          yield* Effect.sleep("90 seconds")
          assert.deepInclude(yield* ready, { status: "False", reason: "DeviceDisconnected" })
          yield* device.transport.refuse(undefined)
          yield* Effect.sleep("40 seconds")
          assert.deepStrictEqual(yield* ready, before)
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)),
    60_000
  )
})

describe("the pods of a device that is away", () => {
  it.live(
    "are ready until the grace is over, which begins with the loss of the connection, not with the end of the session",
    () =>
      simulate(1, () =>
        Effect.gen(function*() {
          const device = yield* oneDevice
          yield* patient(operated(device, yield* KubeApi))
          yield* createPod
          yield* Effect.sleep("5 minutes")
          yield* device.transport.refuse("Refused")
          yield* device.transport.cut()
          yield* Effect.sleep("590 seconds")
          assert.strictEqual((yield* ready)?.status, "True")
          assert.deepStrictEqual(yield* told, [])
          yield* Effect.sleep("1 minute")
          assert.deepInclude(yield* ready, { status: "False", reason: "DeviceDisconnected" })
          assert.deepStrictEqual(yield* told, ["DeviceDisconnected"])
          yield* Effect.sleep("15 minutes")
          yield* device.transport.refuse(undefined)
          yield* Effect.sleep("10 minutes")
          assert.strictEqual((yield* ready)?.status, "True")
          assert.sameMembers(yield* told, ["DeviceDisconnected", "DeviceConnected"])
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)),
    60_000
  )

  it.live(
    "have their grace anew with an operator that stood by and takes the device over, which tells of it",
    () =>
      simulate(1, () =>
        Effect.gen(function*() {
          const device = yield* oneDevice
          const one = yield* patient(operated(device, yield* KubeApi))
          yield* createPod
          yield* Effect.sleep("5 minutes")
          yield* device.transport.refuse("Refused")
          yield* device.transport.cut()
          // It takes the device, and stands by once the first has come back for it.
          const two = yield* makeOperator([device], undefined, undefined, "two")
          yield* patient(two.start)
          yield* Effect.sleep("10 seconds")
          yield* one.kill
          yield* patient(one.start)
          yield* Effect.sleep("8 minutes")
          assert.strictEqual((yield* ready)?.status, "True")
          yield* one.kill
          yield* Effect.sleep("10 minutes")
          // Not ready by the word of the cluster's controllers, to whom the Node was unknown for a while.
          assert.notStrictEqual((yield* ready)?.reason, "DeviceDisconnected")
          assert.deepStrictEqual(yield* told, [])
          yield* Effect.sleep("3 minutes")
          assert.deepInclude(yield* ready, { status: "False", reason: "DeviceDisconnected" })
          assert.deepStrictEqual(yield* told, ["DeviceDisconnected"])
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)),
    60_000
  )
})
