import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { DeviceUsage } from "../../../core/metrics/DeviceUsage.ts"
import { encodeCommand } from "../../../core/wire/Command.ts"
import { decodeReply, encodeReply } from "../../../core/wire/Reply.ts"
import { restored, shortened, UsageFigures, usageFigures, usageOf } from "../../../core/wire/usage.ts"
import { deviceUsage } from "./samples.ts"

const later = (usage: DeviceUsage, millis: number): DeviceUsage => ({
  ...usage,
  at: usage.at + millis,
  host: { ...usage.host, cpuNanoseconds: usage.host.cpuNanoseconds + millis * 200_000, processes: 131 },
  pods: usage.pods.map((pod) => ({
    ...pod,
    network: pod.network && { receivedBytes: pod.network.receivedBytes + 5120, sentBytes: pod.network.sentBytes + 900 },
    containers: pod.containers.map((container) => ({
      ...container,
      cpuNanoseconds: container.cpuNanoseconds + millis * 3000,
      memoryWorkingSetBytes: container.memoryWorkingSetBytes - 8192
    }))
  }))
})
const figures = usageFigures(deviceUsage)
const next = usageFigures(later(deviceUsage, 300_000))
const sent = (said: UsageFigures) => encodeReply({ _tag: "Usage", figures: said })

describe("a sample of usage", () => {
  it("is what was measured, to the microsecond, KiB and second", () => {
    assert.deepStrictEqual(usageOf(figures), deviceUsage)
  })

  it.effect("of five pods is told in at most 340 bytes, the next in at most 150, and asked for in at most 10", () =>
    Effect.gen(function*() {
      assert.strictEqual(deviceUsage.pods.length, 5)
      assert.isAtMost((yield* sent(figures)).length, 340)
      assert.isAtMost((yield* sent(shortened(next, figures))).length, 150)
      assert.isAtMost((yield* encodeCommand({ _tag: "Measure", base: figures.at })).length, 10)
    }))

  it.effect("comes back whole from what differs, over the wire", () =>
    Effect.gen(function*() {
      const reply = yield* Effect.flatMap(sent(shortened(next, figures)), decodeReply)
      if (reply._tag !== "Usage") return assert.fail(reply._tag)
      assert.strictEqual(reply.figures.base, figures.at)
      assert.deepStrictEqual(restored(reply.figures, figures), next)
    }))

  it("is told whole where a pod or a run of a container is another", () => {
    const pods = deviceUsage.pods
    const restarted = pods.map((pod) => ({
      ...pod,
      containers: pod.containers.map((each) => ({ ...each, startedAt: each.startedAt + 1000 }))
    }))
    for (const changed of [pods.slice(1), restarted, []]) {
      const other = usageFigures({ ...later(deviceUsage, 1000), pods: changed })
      assert.strictEqual(shortened(other, figures), other)
    }
  })

  it("is not made up from differences to a sample that is not known", () => {
    const short = shortened(next, figures)
    assert.isUndefined(restored(short, undefined))
    assert.isUndefined(restored(short, next))
    assert.isUndefined(restored({ ...short, host: short.host.slice(1) }, figures))
  })

  it("of a newer device has figures that are passed over, of an older one zeros", () => {
    const wider = {
      ...figures,
      host: [...figures.host, 7],
      ofPods: [0, 1, 2, 3, 4].flatMap((pod) => [...figures.ofPods.slice(pod * 2, pod * 2 + 2), 99]),
      ofContainers: [0, 1, 2, 3, 4].flatMap((
        index
      ) => [...figures.ofContainers.slice(index * 4, index * 4 + 4), 98, 97])
    }
    assert.deepStrictEqual(usageOf(wider), deviceUsage)
    const narrow = usageOf({ ...figures, host: figures.host.slice(0, 3), ofPods: [], ofContainers: [] })
    assert.strictEqual(narrow.host.memoryWorkingSetBytes, deviceUsage.host.memoryWorkingSetBytes)
    assert.strictEqual(narrow.host.processes, 0)
    assert.isUndefined(narrow.pods[0]?.network)
    assert.strictEqual(narrow.pods[0]?.containers[0]?.cpuNanoseconds, 0)
  })

  it.effect.prop(
    "is read without a fault, whatever figures it has",
    { value: Schema.Struct(UsageFigures.fields) },
    ({ value }) => Effect.sync(() => void usageOf(value)),
    { arbitrary: { runs: 200 } }
  )
})
