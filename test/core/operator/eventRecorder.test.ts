import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { KubeEvents } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { type EventDraft, EventRecorder } from "../../../core/operator/EventRecorder.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { clientWithFaults, createNamespaces, worldLayer } from "../../simulation/World.ts"

const backOff: EventDraft = {
  about: { apiVersion: "v1", kind: "Pod", namespace: "edge", name: "web", uid: "u-1" },
  type: "Warning",
  reason: "BackOff",
  message: "Back-off restarting failed container main",
  host: "edge-1"
}

const told = Effect.gen(function*() {
  yield* Effect.sleep("1 second")
  const api = yield* KubeApi
  const events = yield* api.list(KubeEvents, { namespace: "edge" })
  return events.map(({ count, firstTimestamp, lastTimestamp, message }) => ({
    message,
    count,
    lasted: Date.parse(lastTimestamp ?? "") - Date.parse(firstTimestamp ?? "")
  }))
})

const recording = <E>(program: Effect.Effect<void, E, EventRecorder | KubeApi>) =>
  simulate(1, () =>
    Effect.andThen(createNamespaces, program).pipe(
      Effect.provide(EventRecorder.layer.pipe(Layer.provideMerge(worldLayer))),
      Effect.orDie
    ))

describe("events", () => {
  it.live("that say the same are counted, not said again", () =>
    recording(Effect.gen(function*() {
      const { record } = yield* EventRecorder
      for (let i = 0; i < 3; i++) {
        yield* record(backOff)
        yield* Effect.sleep("10 seconds")
      }
      yield* record({ ...backOff, message: "another" })
      yield* record({ ...backOff, about: { ...backOff.about, uid: "u-2" } })
      assert.deepStrictEqual(yield* told, [
        { message: backOff.message, count: 3, lasted: 20_000 },
        { message: "another", count: 1, lasted: 0 },
        { message: backOff.message, count: 1, lasted: 0 }
      ])
    })))

  it.live("that are told twice under one id are counted once", () =>
    recording(Effect.gen(function*() {
      const { record } = yield* EventRecorder
      for (const id of ["1", "2", "2", "1"]) yield* record({ ...backOff, id })
      assert.deepStrictEqual(yield* told, [{ message: backOff.message, count: 2, lasted: 0 }])
    })))

  it.live("are remembered no longer than they are written, whatever a device says", () =>
    recording(Effect.gen(function*() {
      const { record } = yield* EventRecorder
      const [message, reason, fieldPath] = ["m", "r", "f"].map((each) => each.repeat(250_000))
      for (const end of ["a", "b"]) {
        yield* record({
          ...backOff,
          message: message + end,
          reason: reason + end,
          about: { ...backOff.about, fieldPath: fieldPath + end }
        })
      }
      assert.deepStrictEqual(yield* told, [{ message: "m".repeat(1024), count: 2, lasted: 0 }])
    })))

  it.live("begin anew where the first has expired", () =>
    recording(Effect.gen(function*() {
      const { record } = yield* EventRecorder
      const api = yield* KubeApi
      yield* record(backOff)
      yield* record(backOff)
      yield* Effect.sleep("1 second")
      for (const { metadata } of yield* api.list(KubeEvents, { namespace: "edge" })) {
        yield* api.delete(KubeEvents, { namespace: "edge", name: metadata.name ?? "" })
      }
      yield* record(backOff)
      assert.deepStrictEqual(yield* told, [{ message: backOff.message, count: 1, lasted: 0 }])
    })))

  it.live("wait for an API server that is away for a while", () =>
    simulate(2, () =>
      Effect.gen(function*() {
        let away = true
        const client = yield* Layer.build(clientWithFaults(() => Effect.sync(() => ({ refuseConnection: away }))))
        yield* createNamespaces
        const { record } = Context.get(
          yield* Effect.provideContext(Layer.build(EventRecorder.layer), client),
          EventRecorder
        )
        yield* record(backOff)
        yield* record({ ...backOff, message: "another" })
        yield* Effect.sleep("1 minute")
        away = false
        yield* Effect.sleep("1 minute")
        assert.deepStrictEqual((yield* told).map(({ message }) => message), [backOff.message, "another"])
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))
})
