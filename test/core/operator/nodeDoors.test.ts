import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { type DoorSubject, NodeDoors } from "../../../core/operator/NodeDoors.ts"
import { OperatorSettings } from "../../../core/operator/OperatorSettings.ts"

class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {
  override get message() {
    return "no port is free"
  }
}

const settings = Layer.effect(
  OperatorSettings,
  Effect.map(OperatorSettings, (defaults) => ({ ...defaults, kubelet: { address: "10.0.0.9", port: 10_250 } }))
)
const doorsLayer = NodeDoors.layer.pipe(Layer.provide(settings))

/** Listeners that take the next port each, with a diary. */
const listeners = (busy = 0) => {
  const diary: Array<string> = []
  let port = 40_000
  let refusals = busy
  const open = (node: string, subject: DoorSubject) =>
    Effect.gen(function*() {
      if (refusals-- > 0) return yield* new Busy()
      const mine = ++port
      diary.push(`${node} ${subject.country ?? ""} opens ${mine}`)
      yield* Effect.addFinalizer(() => Effect.sync(() => diary.push(`${node} closes ${mine}`)))
      return mine
    })
  return { diary, open }
}

/** Lets every fiber that is ready run. */
const settle = TestClock.adjust("1 milli")

describe("the door of a node", () => {
  it.effect("is that of all nodes until one of its own is wished, and again afterwards", () =>
    Effect.gen(function*() {
      const doors = yield* NodeDoors
      const { diary, open } = listeners()
      yield* Effect.forkScoped(doors.run(open))
      let calls = 0
      yield* doors.follow("edge-1", () => calls += 1)
      assert.deepStrictEqual(doors.endpointOf("edge-1"), { address: "10.0.0.9", port: 10_250 })

      yield* doors.wish("edge-1", { country: "NP" })
      yield* settle
      assert.deepStrictEqual(doors.endpointOf("edge-1"), { address: "10.0.0.9", port: 40_001 })
      assert.deepStrictEqual(doors.endpointOf("edge-2"), { address: "10.0.0.9", port: 10_250 })
      assert.strictEqual(calls, 1)

      yield* doors.wish("edge-1", { country: "NP" })
      yield* settle
      assert.lengthOf(diary, 1, "the same wish opens nothing")

      yield* doors.wish("edge-1", { country: "IN" })
      yield* settle
      yield* doors.wish("edge-1", undefined)
      yield* settle
      assert.strictEqual(doors.endpointOf("edge-1")?.port, 10_250)
      assert.deepStrictEqual([...diary].sort(), [
        "edge-1 IN opens 40002",
        "edge-1 NP opens 40001",
        "edge-1 closes 40001",
        "edge-1 closes 40002"
      ])
    }).pipe(Effect.scoped, Effect.provide(doorsLayer)))

  it.effect("that cannot be opened is tried again", () =>
    Effect.gen(function*() {
      const doors = yield* NodeDoors
      const { diary, open } = listeners(2)
      yield* Effect.forkScoped(doors.run(open))
      yield* doors.wish("edge-1", {})
      yield* settle
      assert.strictEqual(doors.endpointOf("edge-1")?.port, 10_250)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(doors.endpointOf("edge-1")?.port, 40_001)
      assert.deepStrictEqual(diary, ["edge-1  opens 40001"])
    }).pipe(Effect.scoped, Effect.provide(doorsLayer)))

  it.effect("closes when nobody keeps the node any more", () =>
    Effect.gen(function*() {
      const doors = yield* NodeDoors
      const { diary, open } = listeners()
      yield* Effect.forkScoped(doors.run(open))
      yield* Effect.scoped(Effect.gen(function*() {
        yield* doors.follow("edge-1", () => {})
        yield* doors.wish("edge-1", {})
        yield* settle
        assert.lengthOf(diary, 1)
      }))
      yield* settle
      assert.deepStrictEqual(diary, ["edge-1  opens 40001", "edge-1 closes 40001"])
    }).pipe(Effect.scoped, Effect.provide(doorsLayer)))
})
