/** What passes from one operator to the next of what they have counted, as in a rolling update. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Schedule } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { timestamp } from "../../../core/kube/time.ts"
import type { MetricFamily } from "../../../core/metrics/exposition.ts"
import { here, inWorld } from "./talkingDevice.ts"

const status = Effect.gen(function*() {
  return (yield* (yield* KubeApi).get(EdgeDevices, here)).status
})
/** Bytes of streams that the status tells of. */
const written = Effect.map(status, (now) => (now?.traffic?.streams?.sent ?? 0) + (now?.traffic?.streams?.received ?? 0))

/** The same as an operator's own metrics have it. */
const streams = (families: ReadonlyArray<MetricFamily>, name: string) =>
  (families.find((family) => family.name === name)?.samples ?? [])
    .filter(({ labels }) => labels?.["class"] === "streams")
    .reduce((sum, { value }) => sum + value, 0)

const isTaken = status.pipe(
  Effect.flatMap((now) => now?.link?.holder === "next-1" ? Effect.void : Effect.fail("not yet" as const)),
  Effect.retry(Schedule.spaced("1 millis").pipe(Schedule.upTo({ times: 10_000 })))
)

describe("the traffic of a device that another operator takes", () => {
  it.live("is counted by both together, by each what has passed there", () =>
    inWorld(1, { streams: "1Mi" }, ({ device, families, next, operator, read }) =>
      Effect.gen(function*() {
        const reading = yield* Effect.forkChild(read)
        yield* Effect.sleep("20 seconds")
        const before = yield* written
        const byFirst = streams(yield* families, "aranya_device_traffic_bytes_total")
        assert.isAbove(byFirst - before, 20_000)
        // Else it may come back to the first, which would take it again.
        yield* device.transport.refuse("Refused")
        yield* next.start
        yield* Fiber.join(reading)
        yield* Effect.sleep("10 seconds")
        // Said by the one who lost it, long before it stops; heard by the one who has it.
        assert.isAtLeast(yield* written, byFirst)
        assert.isAtLeast(streams(yield* families, "aranya_device_traffic_today_bytes"), byFirst)
        yield* operator.kill
        yield* device.transport.refuse(undefined)
        yield* Effect.sleep("1 minute")
        const handed = yield* written
        yield* Effect.timeoutOption(read, "20 seconds")
        const byNext = streams(yield* families, "aranya_device_traffic_bytes_total")
        assert.isAbove(byNext, 20_000)
        yield* next.kill
        assert.strictEqual(yield* written, handed + byNext)
      })))

  it.live("is kept by an operator that stops before it has heard that it lost the device", () =>
    inWorld(2, { streams: "1Mi" }, ({ families, next, operator, read }) =>
      Effect.gen(function*() {
        yield* Effect.forkChild(read)
        yield* Effect.sleep("20 seconds")
        const byFirst = streams(yield* families, "aranya_device_traffic_bytes_total")
        assert.isAbove(byFirst - (yield* written), 20_000)
        yield* next.start
        yield* isTaken
        yield* operator.kill
        assert.isAtLeast(yield* written, byFirst)
        assert.strictEqual((yield* status)?.link?.holder, "next-1")
      })))

  it.live("counts against the budget as soon as the other has said it", () =>
    inWorld(3, { streams: "50Ki" }, ({ read }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const object = yield* api.get(EdgeDevices, here)
        const day = timestamp(yield* Clock.currentTimeMillis).slice(0, 10)
        const traffic = { ...object.status?.traffic, day, streams: { sent: 0, received: 50 * 1024 } }
        yield* api.replace(EdgeDevices, { ...object, status: { ...object.status, traffic } }, { subresource: "status" })
        yield* Effect.sleep("1 second")
        assert.deepInclude(yield* read, { bytes: 0 })
      })))
})
