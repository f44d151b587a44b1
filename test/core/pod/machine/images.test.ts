import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { RuntimeError } from "../../../../core/pod/ContainerRuntime.ts"
import { MemoryRuntime } from "../../../fakes/MemoryRuntime.ts"
import { Device, pass } from "./Device.ts"
import { container, pod } from "./pods.ts"

const waiting = (device: Device["Service"]) => device.newest().status.containerStatuses?.[0]?.state?.waiting
const pulls = Effect.map(
  Effect.flatMap(MemoryRuntime, ({ diary }) => diary),
  (diary) => diary.filter((line) => line.includes(" pull ")).map((line) => Math.round(Number.parseFloat(line)))
)
const refused = new RuntimeError({ reason: "ImageUnavailable", detail: "manifest unknown" })

describe("an image", () => {
  it.effect("that cannot be had is ErrImagePull, then ImagePullBackOff, tried after 10, 20, 40 s to 300 s", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.image("app:1", { refused })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(1)
      assert.deepStrictEqual(waiting(device), { reason: "ErrImagePull", message: "manifest unknown" })
      yield* pass(7)
      assert.deepStrictEqual(waiting(device), {
        reason: "ImagePullBackOff",
        message: "Back-off pulling image \"app:1\": ErrImagePull: manifest unknown"
      })
      const told = device.newest().number
      yield* pass(1300)
      assert.deepStrictEqual(yield* pulls, [0, 10, 30, 70, 150, 310, 610, 910, 1210])
      assert.strictEqual(device.newest().number, told, "the same error again is no news")
      assert.deepStrictEqual(
        device.events().slice(0, 5).map(({ message, reason, type }) => `${type} ${reason}: ${message}`),
        [
          "Normal Pulling: Pulling image \"app:1\"",
          "Warning Failed: Failed to pull image \"app:1\": manifest unknown",
          "Warning Failed: Error: ErrImagePull",
          "Normal BackOff: Back-off pulling image \"app:1\"",
          "Warning Failed: Error: ImagePullBackOff"
        ]
      )
    }).pipe(Effect.provide(Device.layer)))

  it.effect("that fails with a flood of words is told with the first of them, and holds no other container up", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const detail = "no space left on device\n".repeat(50_000)
      yield* (yield* MemoryRuntime).image("a:1", { refused: new RuntimeError({ reason: "ImageUnavailable", detail }) })
      const machine = yield* device.start
      yield* machine.ensure(pod({ containers: [container("a"), container("b")] }))
      for (const reason of ["ErrImagePull", "ImagePullBackOff"]) {
        yield* pass(3)
        const [a, b] = device.newest().status.containerStatuses ?? []
        assert.strictEqual(a?.state?.waiting?.reason, reason)
        assert.strictEqual(a?.state?.waiting?.message?.length, 1024)
        assert.include(a?.state?.waiting?.message, "no space left on device")
        assert.isDefined(b?.state?.running)
        yield* pass(3)
      }
    }).pipe(Effect.provide(Device.layer)))

  it.effect("is pulled with the credentials for its own registry, which another registry never sees", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const [own, foreign] = ["own.test/app:1", "foreign.test/app:1"] as const
      // Both would take what is meant for own.test.
      yield* runtime.image(own, { password: "open sesame" })
      yield* runtime.image(foreign, { password: "open sesame" })
      const machine = yield* device.start
      yield* machine.ensure(pod({
        pullCredentials: [{ registry: "own.test", username: "me", password: "open sesame" }],
        containers: [container("a", { image: own }), container("b", { image: foreign })]
      }))
      yield* pass(8)
      const [a, b] = device.newest().status.containerStatuses ?? []
      assert.isDefined(a?.state?.running)
      assert.deepStrictEqual(b?.state?.waiting, {
        reason: "ImagePullBackOff",
        message:
          "Back-off pulling image \"foreign.test/app:1\": ErrImagePull: pull access denied for foreign.test/app:1 "
          + "(no imagePullSecret of the pod is for this image)"
      })
    }).pipe(Effect.provide(Device.layer)))

  it.effect("that is denied comes up once the pod's credentials are right, and says which were wrong before", () =>
    Effect.gen(function*() {
      const device = yield* Device
      yield* (yield* MemoryRuntime).image("own.test/app:1", { password: "right" })
      const machine = yield* device.start
      const containers = [container("app", { image: "own.test/app:1" })]
      const credential = { registry: "own.test", username: "me", password: "wrong" }
      yield* machine.ensure(pod({ containers, pullCredentials: [credential] }))
      yield* pass(1)
      assert.deepStrictEqual(waiting(device), {
        reason: "ErrImagePull",
        message: "pull access denied for own.test/app:1 (with the credentials for own.test)"
      })
      yield* machine.ensure(
        pod({ hash: "01", containers, pullCredentials: [{ ...credential, password: "right" }] })
      )
      yield* pass(12)
      assert.strictEqual(device.newest().status.phase, "Running")
    }).pipe(Effect.provide(Device.layer)))

  it.effect("comes up as soon as it can be pulled again", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.fault("pull", { _tag: "Fails", error: refused }, { times: 2 })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(32)
      assert.strictEqual(device.newest().status.phase, "Running")
      assert.strictEqual(device.newest().status.containerStatuses?.[0]?.restartCount, 0)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("is told with the time its pull took and its size", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.image("app:1", { pullTakes: "1250 millis", sizeBytes: 123 })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(3)
      assert.include(
        device.events().map(({ message }) => message),
        "Successfully pulled image \"app:1\" in 1.25s (1.25s including waiting). Image size: 123 bytes."
      )
    }).pipe(Effect.provide(Device.layer)))

  it.effect("that is present is not pulled, unless the policy is Always", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.image("app:1", { present: true })
      yield* runtime.image("b:1", { present: true })
      const machine = yield* device.start
      yield* machine.ensure(pod({ containers: [container("app"), container("b", { imagePullPolicy: "Always" })] }))
      yield* pass(3)
      assert.deepStrictEqual(yield* pulls, [0])
      assert.include(
        device.events().map(({ message }) => message),
        "Container image \"app:1\" already present on machine and can be accessed by the pod"
      )
    }).pipe(Effect.provide(Device.layer)))

  it.effect("that must not be pulled and is absent is ErrImageNeverPull", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const machine = yield* device.start
      yield* machine.ensure(pod({ containers: [container("app", { imagePullPolicy: "Never" })] }))
      yield* pass(3)
      const message = "Container image \"app:1\" is not present with pull policy of Never"
      assert.deepStrictEqual(waiting(device), { reason: "ErrImageNeverPull", message })
      assert.deepStrictEqual(device.events().map(({ message, reason }) => `${reason}: ${message}`), [
        `ErrImageNeverPull: ${message}`,
        "Failed: Error: ErrImageNeverPull"
      ])
      assert.deepStrictEqual(yield* pulls, [])
    }).pipe(Effect.provide(Device.layer)))

  it.effect("with a name that is none is InvalidImageName", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const machine = yield* device.start
      yield* machine.ensure(pod({ containers: [container("app", { image: "Not A Name" })] }))
      yield* pass(3)
      assert.strictEqual(waiting(device)?.reason, "InvalidImageName")
      assert.include(device.reasons(), "InspectFailed")
    }).pipe(Effect.provide(Device.layer)))

  it.effect("changed while its pull fails is taken at once", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.image("app:1", { refused })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(200)
      yield* machine.ensure(pod({ hash: "01", generation: 2, containers: [container("app", { image: "app:2" })] }))
      yield* pass(2)
      assert.strictEqual(device.newest().status.phase, "Running")
      assert.strictEqual(device.newest().status.observedGeneration, 2)
    }).pipe(Effect.provide(Device.layer)))

  it.effect("an engine that goes away during a pull is no ErrImagePull", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* runtime.image("app:1", { pullTakes: "10 seconds" })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(5)
      yield* runtime.stopEngine("survive")
      yield* pass(30)
      assert.strictEqual(waiting(device)?.reason, "ContainerCreating")
      yield* runtime.startEngine
      yield* pass(60)
      assert.strictEqual(device.newest().status.phase, "Running")
    }).pipe(Effect.provide(Device.layer)))
})
