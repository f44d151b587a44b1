/** Budgets in a whole system: what a reader of logs is told, what the status says, and what the next operator makes of it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeEvents } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Pods } from "../../../core/kube/Pod.ts"
import { eventually, here, inWorld } from "./talkingDevice.ts"

const traffic = Effect.gen(function*() {
  return (yield* (yield* KubeApi).get(EdgeDevices, here)).status?.traffic
})

const spent =
  /^device edge-1 has used up what it may spend on streams in a day, 50Ki bytes: ask again after \S+T00:00:00Z, or raise spec\.connectivity\.budget\.streams$/u

describe("a budget for streams", () => {
  it.live("ends a log that goes beyond it, refuses the next, says so once in an event and at once in the status", () =>
    inWorld(1, { streams: "50Ki" }, ({ read }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const first = yield* read
        assert.match(first.why, spent)
        assert.isAbove(first.bytes, 40_000)
        const second = yield* read
        assert.match(second.why, spent)
        assert.strictEqual(second.bytes, 0)
        yield* Effect.sleep("5 seconds")
        const written = yield* traffic
        assert.isAtLeast((written?.streams?.received ?? 0) + (written?.streams?.sent ?? 0), 50 * 1024)
        assert.isAbove(written?.control?.received ?? 0, 500)
        const told = (yield* api.list(KubeEvents, { namespace: "edge" })).filter(({ reason }) =>
          reason === "TrafficBudgetExhausted"
        )
        assert.strictEqual(told.length, 1)
        assert.match(told[0]?.message ?? "", spent)
      })))

  it.live("holds with the next operator, and control goes on all the while", () =>
    inWorld(2, { streams: "50Ki", control: 1 }, ({ operator, read, uid }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        assert.match((yield* read).why, spent)
        yield* Effect.sleep("5 seconds")
        const before = yield* traffic
        yield* operator.kill
        yield* operator.start
        yield* Effect.sleep("1 minute")
        assert.match((yield* read).why, spent)
        const after = yield* traffic
        assert.strictEqual(after?.day, before?.day)
        assert.isAtLeast(after?.streams?.received ?? 0, before?.streams?.received ?? 0)
        assert.isAbove(after?.control?.received ?? 0, before?.control?.received ?? 0)
        yield* api.delete(Pods, { namespace: "edge", name: "chatty" }, { uid })
        yield* eventually(Effect.map(
          Effect.option(api.get(Pods, { namespace: "edge", name: "chatty" })),
          (found) => found._tag === "None" ? true : undefined
        ))
      })))

  it.live("is kept by an operator that stops, to the last bytes that matter", () =>
    inWorld(3, { streams: "1Mi" }, ({ operator, read }) =>
      Effect.gen(function*() {
        yield* Effect.timeoutOption(read, "20 seconds")
        const before = yield* traffic
        yield* operator.kill
        const after = yield* traffic
        assert.isBelow(before?.streams?.received ?? 0, 20_000)
        assert.isAbove(after?.streams?.received ?? 0, 20_000)
      })))

  it.live("costs an idle device no writes", () =>
    inWorld(4, { streams: "1Mi", control: "1Gi" }, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* Effect.sleep("10 minutes")
        const before = (yield* api.get(EdgeDevices, here)).metadata.resourceVersion
        yield* Effect.sleep("20 minutes")
        assert.strictEqual((yield* api.get(EdgeDevices, here)).metadata.resourceVersion, before)
      })))
})
