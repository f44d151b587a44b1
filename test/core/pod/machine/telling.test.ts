import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { makeEventBuffer } from "../../../../core/pod/machine/EventBuffer.ts"
import { makeReportBoard } from "../../../../core/pod/machine/ReportBoard.ts"
import type { PodReport } from "../../../../core/pod/PodReport.ts"
import { Device, pass } from "./Device.ts"
import { container, pod } from "./pods.ts"

const report = (uid: string, number: number): PodReport => ({
  uid,
  namespace: "default",
  name: uid,
  number,
  status: {},
  finished: false
})

describe("reports", () => {
  it.effect("are told newest first time, each change after, and never what was overtaken", () =>
    Effect.gen(function*() {
      const board = yield* makeReportBoard
      for (let number = 1; number <= 1000; number++) board.put(report("a", number))
      board.put(report("b", 1))
      const told = yield* board.reports.pipe(Stream.take(2), Stream.runCollect)
      assert.deepStrictEqual(told.map(({ number, uid }) => `${uid}${number}`), ["a1000", "b1"])
      board.put(report("b", 2))
      board.remove("a")
      const again = yield* board.reports.pipe(Stream.take(1), Stream.runCollect)
      assert.deepStrictEqual(again.map(({ number, uid }) => `${uid}${number}`), ["b2"])
    }))

  it.effect("do not come where nothing changes", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(5)
      const told = device.reports().length
      yield* pass(3600)
      assert.strictEqual(device.reports().length, told)
      assert.deepStrictEqual(device.reports().map(({ number }) => number), [
        ...new Set(device.reports().map(({ number }) => number))
      ])
    }).pipe(Effect.provide(Device.layerSlow)))
})

describe("events", () => {
  it.effect("are dropped from the oldest end when nobody takes them, and counted", () =>
    Effect.gen(function*() {
      const buffer = yield* makeEventBuffer(3)
      for (const text of ["1", "2", "3", "4", "5"]) yield* buffer.emit({ assignment: pod() }, "Normal", "R", text)
      const kept = yield* buffer.events.pipe(Stream.take(3), Stream.runCollect)
      assert.deepStrictEqual(kept.map(({ message }) => message), ["3", "4", "5"])
      assert.strictEqual(buffer.dropped(), 2)
    }))

  it.effect("say which container they are about", () =>
    Effect.gen(function*() {
      const buffer = yield* makeEventBuffer(3)
      const assignment = pod({ initContainers: [container("init")] })
      for (const name of ["init", "app"]) yield* buffer.emit({ assignment, container: name }, "Normal", "R", "m")
      yield* buffer.emit({ assignment }, "Warning", "R", "x".repeat(5000))
      const told = yield* buffer.events.pipe(Stream.take(3), Stream.runCollect)
      assert.deepStrictEqual(told.map(({ fieldPath }) => fieldPath), [
        "spec.initContainers{init}",
        "spec.containers{app}",
        ""
      ])
      assert.strictEqual(told[2]?.message.length, 1024)
    }))
})
