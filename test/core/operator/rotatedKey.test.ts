import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch, Schedule, Stream } from "effect"
import { Base64 } from "effect/encoding"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeEvents } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"

const every = Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 60 }))

/** Offsets of an edit into a handshake that takes eight seconds, in milliseconds. */
const offsets = Array.from({ length: 41 }, (_, index) => index * 250)

const here = { namespace: "edge", name: "edge-1" }

const linkOf = Effect.map(Effect.flatMap(KubeApi, (api) => api.get(EdgeDevices, here)), ({ status }) => status?.link)

/** A device that is connected; `otherKey` is its owner's edit. */
const connected = Effect.gen(function*() {
  const api = yield* KubeApi
  yield* createNamespaces
  const device = yield* makeDevice("edge-1", 1)
  yield* (yield* makeOperator([device])).start
  yield* api.create(EdgeDevices, device.object())
  yield* device.agent.start
  const isConnected = Effect.map(
    api.get(EdgeDevices, here),
    ({ status }) => status?.conditions?.find(({ type }) => type === "Connected")?.status === "True"
  )
  yield* Effect.filterOrFail(isConnected, (yes) => yes).pipe(Effect.retry(every))
  const otherKey = api.patch(EdgeDevices, here, {
    type: "merge",
    body: { spec: { identity: { publicKey: Base64.encode(new Uint8Array(32).fill(9)) } } }
  })
  return { device, isConnected, otherKey }
})

describe("an EdgeDevice whose key is changed", () => {
  it.live("has no session with a device of the former key that was in the middle of its handshake", () =>
    Effect.forEach(offsets, (offset) =>
      simulate(1, () =>
        Effect.gen(function*() {
          const { device, isConnected, otherKey } = yield* connected
          yield* device.agent.kill
          yield* device.transport.weather({ delayMillis: [2000, 2000] })
          yield* device.agent.start
          yield* Effect.sleep(offset)
          yield* otherKey
          yield* Effect.sleep("30 seconds")
          assert.isFalse(yield* isConnected, `edited ${offset} ms after it was started`)
        }).pipe(Effect.scoped, Effect.provide(worldLayer))), { discard: true }))

  it.live("and that is another object by the time its handshake ends has no session with the device of the former, either", () =>
    Effect.forEach(offsets, (offset) =>
      simulate(1, () =>
        Effect.gen(function*() {
          const { device, isConnected } = yield* connected
          const api = yield* KubeApi
          yield* device.agent.kill
          yield* device.transport.weather({ delayMillis: [2000, 2000] })
          yield* device.agent.start
          yield* Effect.sleep(offset)
          yield* api.delete(EdgeDevices, here)
          yield* Effect.ignore(
            api.patch(EdgeDevices, here, { type: "merge", body: { metadata: { finalizers: [] } } })
          )
          const publicKey = Base64.encode(new Uint8Array(32).fill(9))
          yield* api.create(EdgeDevices, device.object({ identity: { publicKey } }))
          yield* Effect.sleep("30 seconds")
          assert.isFalse(yield* isConnected, `made anew ${offset} ms after it was started`)
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)), { discard: true }))

  it.live("lets no device in by its key alone that has to enrol by the time its handshake ends", () =>
    Effect.gen(function*() {
      const pinned = yield* Effect.forEach(offsets, (offset) =>
        simulate(1, () =>
          Effect.gen(function*() {
            const api = yield* KubeApi
            yield* createNamespaces
            const device = yield* makeDevice("edge-1", 1)
            yield* (yield* makeOperator([device])).start
            yield* api.create(EdgeDevices, device.object())
            yield* device.transport.weather({ delayMillis: [2000, 2000] })
            yield* device.agent.start
            yield* Effect.sleep(offset)
            yield* api.patch(EdgeDevices, here, {
              type: "merge",
              body: { spec: { identity: { publicKey: null, enrolmentSecretRef: { name: "enrolment" } } } }
            })
            const before = yield* linkOf
            yield* Effect.sleep("30 seconds")
            const after = yield* linkOf
            assert.strictEqual(after?.publicKey, before?.publicKey, `edited ${offset} ms after it was started`)
            return before?.publicKey !== undefined
          }).pipe(Effect.scoped, Effect.provide(worldLayer))))
      assert.sameMembers([...new Set(pinned)], [false, true], "edited before the handshake's end and after it")
    }))

  it.live("has a session with the device of the new key by an operator whose watch has not told of it yet", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* createNamespaces
        const device = yield* makeDevice("edge-1", 1)
        const tells = yield* Latch.make(true)
        let asked = 0
        const observe = ((resource, selection, options) =>
          Stream.tap(
            api.observe(resource, selection, options),
            () => resource.plural === "edgedevices" ? tells.await : Effect.void
          )) as typeof api.observe
        const get = ((resource, at) =>
          Effect.suspend(() => {
            if (resource.plural === "edgedevices") asked += 1
            return api.get(resource, at)
          })) as typeof api.get
        const operator = yield* Effect.provideService(makeOperator([device]), KubeApi, { ...api, get, observe })
        yield* operator.start
        const object = device.object()
        const key = (identity: object) => api.patch(EdgeDevices, here, { type: "merge", body: { spec: { identity } } })
        yield* api.create(EdgeDevices, object)
        yield* key({ publicKey: Base64.encode(new Uint8Array(32).fill(9)) })
        yield* Effect.sleep("5 seconds")
        const reasons = Effect.map(
          api.list(KubeEvents, { namespace: "edge" }),
          (all) => all.map(({ reason }) => reason)
        )
        yield* tells.close
        yield* key((object.spec as { readonly identity: object }).identity)
        yield* device.agent.start
        yield* Effect.sleep("10 seconds")
        assert.isDefined((yield* linkOf)?.lineageHash)
        assert.notInclude(yield* reasons, "WrongKey")
        // Whoever has the wrong one may dial as often as he likes.
        yield* device.agent.kill
        yield* tells.open
        yield* key({ publicKey: Base64.encode(new Uint8Array(32).fill(9)) })
        yield* Effect.sleep("5 seconds")
        asked = 0
        yield* device.agent.start.pipe(
          Effect.andThen(Effect.sleep("100 millis")),
          Effect.andThen(device.agent.kill),
          Effect.repeat({ times: 50 })
        )
        assert.include(yield* reasons, "WrongKey")
        assert.isAtMost(asked, 10)
      }).pipe(Effect.scoped, Effect.provide(worldLayer))))

  it.live("ends the session of the device with the former key at once, and does not take it again", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        const { isConnected, otherKey } = yield* connected
        yield* otherKey
        yield* Effect.filterOrFail(isConnected, (yes) => !yes).pipe(Effect.retry(every))
        yield* Effect.sleep("10 minutes")
        assert.isFalse(yield* isConnected)
        const reasons = (yield* (yield* KubeApi).list(KubeEvents, { namespace: "edge" })).map(({ reason }) => reason)
        assert.include(reasons, "WrongKey")
      }).pipe(Effect.scoped, Effect.provide(worldLayer))))
})
