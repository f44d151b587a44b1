import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream, SubscriptionRef } from "effect"
import { TestClock } from "effect/testing"
import { decodeEdgeDevice } from "../../../core/device/decodeEdgeDevice.ts"
import type { DeviceTraffic } from "../../../core/device/EdgeDevice.ts"
import type { LinkError, Session } from "../../../core/link/Session.ts"
import { noTraffic, plusTraffic, type TrafficClass, type TrafficCount } from "../../../core/link/Traffic.ts"
import type { DeviceContext } from "../../../core/operator/DeviceContext.ts"
import { deviceTraffic } from "../../../core/operator/deviceTraffic.ts"

const noon = Date.parse("2026-11-21T12:00:00Z")

/** A session that carried what the test says. */
const fakeSession = Effect.gen(function*() {
  const connected = yield* SubscriptionRef.make(true)
  let count: TrafficCount = noTraffic
  const failed: Array<string> = []
  const piece = Uint8Array.of(1)
  const session: Session = {
    id: "1",
    connected,
    method: () => "grpc",
    request: (message) => Effect.succeed(message),
    open: () =>
      Effect.succeed({
        send: () => Effect.void,
        end: Effect.void,
        fail: (detail) => Effect.sync(() => void failed.push(detail)),
        messages: Stream.fromEffectRepeat(Effect.delay(Effect.succeed(piece), "1 second"))
      }),
    absence: () => "Link" as const,
    traffic: () => count,
    closed: Effect.never,
    close: () => Effect.void
  }
  const carry = (name: TrafficClass, sent: number, received = 0) => {
    count = plusTraffic(count, { ...noTraffic, [name]: { sent, received } })
  }
  return { session, carry, failed }
})

const makeTraffic = Effect.fnUntraced(function*(
  budget: { readonly [name in TrafficClass]?: string | number },
  stored?: DeviceTraffic
) {
  const device = yield* SubscriptionRef.make(
    yield* decodeEdgeDevice({
      metadata: { namespace: "edge", name: "edge-1" },
      spec: { connectivity: { method: "grpc", budget } }
    })
  )
  const exhausted: Array<string> = []
  const context = { name: "edge-1", key: "edge/edge-1", device } as DeviceContext
  const traffic = yield* deviceTraffic(context, {
    stored,
    onExhausted: (_, sentence) => void exhausted.push(sentence)
  })
  return { traffic, device, exhausted }
})

/** A write of the status that comes through. */
const write = (traffic: Effect.Success<ReturnType<typeof makeTraffic>>["traffic"], before?: DeviceTraffic) => {
  const result = traffic.next(before)
  traffic.written()
  return result
}

const sentence = "device edge-1 has used up what it may spend on streams in a day, 1Ki bytes: "
  + "ask again after 2026-11-22T00:00:00Z, or raise spec.connectivity.budget.streams"

const asked = (effect: Effect.Effect<unknown, LinkError>) =>
  Effect.match(effect, { onSuccess: () => "let through", onFailure: (error) => `${error.reason}: ${error.detail}` })

describe("the traffic of a device", () => {
  it.effect("opens no stream beyond its budget until the next day of UTC, and says until when", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(noon)
      const { exhausted, traffic } = yield* makeTraffic({ streams: "1Ki", metrics: 100 })
      const { carry, session } = yield* fakeSession
      const guarded = traffic.guard(session)
      const open = asked(Effect.scoped(guarded.open(new Uint8Array())))
      const scrape = asked(guarded.request(new Uint8Array(), { traffic: "metrics" }))
      carry("streams", 24, 999)
      assert.strictEqual(yield* open, "let through")
      carry("streams", 0, 1)
      assert.strictEqual(yield* open, `OverBudget: ${sentence}`)
      assert.strictEqual(yield* scrape, "let through")
      carry("metrics", 50, 50)
      assert.match(
        yield* scrape,
        /^OverBudget: device edge-1 has used up what it may spend on metrics in a day, 100 bytes/u
      )
      assert.deepStrictEqual(traffic.exhausted(), ["streams", "metrics"])
      assert.deepStrictEqual(traffic.refused(), { control: 0, streams: 1, metrics: 1 })
      assert.deepStrictEqual(exhausted.length, 2)

      yield* TestClock.setTime(Date.parse("2026-11-21T23:59:59Z"))
      assert.strictEqual(yield* open, `OverBudget: ${sentence}`)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* open, "let through")
      assert.strictEqual(yield* scrape, "let through")
      assert.strictEqual(traffic.ever().streams.received, 1000)
    }))

  it.effect("never holds control up, and says once that it is beyond its budget", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(noon)
      const { exhausted, traffic } = yield* makeTraffic({ control: 10, streams: 0 })
      const { carry, session } = yield* fakeSession
      const guarded = traffic.guard(session)
      carry("control", 1_000_000)
      assert.strictEqual(yield* asked(guarded.request(new Uint8Array())), "let through")
      assert.strictEqual(yield* asked(guarded.request(new Uint8Array(), { priority: "assignment" })), "let through")
      assert.deepStrictEqual(traffic.refused(), { control: 0, streams: 0, metrics: 0 })
      assert.deepStrictEqual(exhausted, [
        "device edge-1 has used up what it may spend on control in a day, 10 bytes: nothing is held up, but see what keeps "
        + "it busy (spec.connectivity.budget.control)"
      ])
    }))

  it.effect("ends a stream that runs when its budget does, for both sides, with the same sentence", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(noon)
      const { traffic } = yield* makeTraffic({ streams: "1Ki" })
      const { carry, failed, session } = yield* fakeSession
      const read = Effect.scoped(Effect.gen(function*() {
        const channel = yield* traffic.guard(session).open(new Uint8Array())
        return yield* channel.messages.pipe(
          Stream.runForEach(() => Effect.sync(() => carry("streams", 0, 400)))
        )
      }))
      const told = yield* Effect.forkChild(asked(read))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(told.pollUnsafe()?._tag, "Success")
      assert.deepStrictEqual(failed, [sentence])
      assert.strictEqual(traffic.today().streams.received, 1200)
    }))

  it.effect("follows an edited budget at once", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(noon)
      const { device, traffic } = yield* makeTraffic({ streams: 10 })
      const { carry, session } = yield* fakeSession
      const open = asked(Effect.scoped(traffic.guard(session).open(new Uint8Array())))
      carry("streams", 10)
      assert.match(yield* open, /^OverBudget/u)
      yield* SubscriptionRef.update(device, (before) => ({
        ...before,
        spec: { ...before.spec, connectivity: { ...before.spec.connectivity, budget: {} } }
      }))
      assert.strictEqual(yield* open, "let through")
    }))

  it.effect("goes on from what the status says of the day, and begins anew on another", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(noon)
      const streams = { sent: 5, received: 6 }
      const same = yield* makeTraffic({ streams: 11 }, { day: "2026-11-21", streams })
      assert.deepStrictEqual(same.traffic.today().streams, streams)
      assert.deepStrictEqual(same.traffic.exhausted(), ["streams"])
      const other = yield* makeTraffic({ streams: 11 }, { day: "2026-11-20", streams })
      assert.deepStrictEqual(other.traffic.today(), noTraffic)
      // The clock before was a little ahead: going back would begin the day twice.
      const ahead = yield* makeTraffic({ streams: 11 }, { day: "2026-11-22", streams })
      assert.deepStrictEqual(ahead.traffic.today().streams, streams)
      const wrong = yield* makeTraffic({ streams: 11 }, { day: "2036-11-22", streams })
      assert.deepStrictEqual(wrong.traffic.today(), noTraffic)
      // It was said by whoever counted it.
      same.traffic.next({ day: "2026-11-21", streams })
      assert.deepStrictEqual(same.exhausted, [])
    }))

  it.effect("adds to what another operator wrote, and nothing twice where the answer to a write was lost", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(noon)
      const { traffic } = yield* makeTraffic({})
      const { carry, session } = yield* fakeSession
      traffic.guard(session)
      carry("control", 100)
      const first = traffic.next(undefined)
      assert.deepStrictEqual(first?.control, { sent: 100, received: 0 })
      // It was written; its answer was lost.
      carry("control", 10)
      const second = write(traffic, first)
      assert.deepStrictEqual(second?.control, { sent: 110, received: 0 })
      assert.deepStrictEqual(traffic.today().control, { sent: 110, received: 0 })
      // Another had the device meanwhile.
      carry("control", 1)
      const third = write(traffic, { day: "2026-11-21", control: { sent: 500, received: 7 } })
      assert.deepStrictEqual(third?.control, { sent: 501, received: 7 })
    }))

  it.effect("adds nothing twice where it was tried again before the write was heard of whose answer was lost", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(noon)
      for (const lost of [0, 1, 78, 79]) {
        const { traffic } = yield* makeTraffic({})
        const { carry, session } = yield* fakeSession
        traffic.guard(session)
        /** One of these came through; all others were refused, for they began with what was before it. */
        const tried: Array<DeviceTraffic | undefined> = []
        // Something else was to be written first, and was not.
        const stored = { day: "2026-11-21", control: { sent: 7, received: 0 } }
        traffic.next(stored)
        for (let tries = 0; tries < 80; tries++) {
          carry("control", 10)
          // Looked at, and not worth a write.
          traffic.next(stored)
          traffic.unwritten()
          carry("control", 10)
          tried.push(traffic.next(stored))
        }
        assert.deepStrictEqual(write(traffic, tried[lost])?.control, { sent: 1607, received: 0 })
        assert.deepStrictEqual(traffic.today().control, { sent: 1607, received: 0 })
      }
    }))

  it.effect("adds what it had counted to what the next operator writes, once, and tells that one", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(noon)
      const one = yield* makeTraffic({ streams: 1000 })
      const two = yield* makeTraffic({ streams: 1000 })
      const [first, second] = [yield* fakeSession, yield* fakeSession]
      one.traffic.guard(first.session)
      two.traffic.guard(second.session)
      const streams = (received: number) => ({ day: "2026-11-21", ...noTraffic, streams: { sent: 0, received } })
      first.carry("streams", 0, 600)
      second.carry("streams", 0, 300)
      let status = write(two.traffic)
      // It would be refused, and is tried again with what the other has said.
      assert.deepStrictEqual(one.traffic.rest(undefined), streams(600))
      status = one.traffic.rest(status)
      one.traffic.written()
      assert.deepStrictEqual(status, streams(900))
      assert.isUndefined(one.traffic.rest(status))

      second.carry("streams", 0, 100)
      assert.deepStrictEqual(two.traffic.exhausted(), [])
      two.traffic.learn(status)
      assert.deepStrictEqual(two.traffic.exhausted(), ["streams"])
      status = write(two.traffic, status)
      assert.deepStrictEqual(status, streams(1000))
      // Too little to be worth a write.
      first.carry("streams", 0, 9)
      assert.isUndefined(one.traffic.rest(status))
      first.carry("streams", 0, 1)
      assert.deepStrictEqual(one.traffic.rest(status), streams(1010))
    }))

  it.effect("adds to no day what was counted on the one before", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2026-11-21T23:59:59Z"))
      const { traffic } = yield* makeTraffic({ streams: 1000 })
      const { carry, session } = yield* fakeSession
      traffic.guard(session)
      carry("streams", 0, 600)
      assert.strictEqual(traffic.today().streams.received, 600)
      // The next operator's clock is a little ahead.
      assert.isUndefined(traffic.rest({ day: "2026-11-22", streams: { sent: 0, received: 1 } }))
      yield* TestClock.adjust("1 second")
      assert.isUndefined(traffic.rest({ day: "2026-11-21", streams: { sent: 0, received: 1 } }))
      carry("streams", 0, 20)
      assert.deepStrictEqual(traffic.rest({ day: "2026-11-21", streams: { sent: 0, received: 1 } }), {
        day: "2026-11-22",
        ...noTraffic,
        streams: { sent: 0, received: 20 }
      })
    }))

  it.effect("counts on in a new session, with the last words of the one before", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(noon)
      const { traffic } = yield* makeTraffic({})
      const one = yield* fakeSession
      const two = yield* fakeSession
      traffic.guard(one.session)
      one.carry("control", 10)
      traffic.guard(two.session)
      two.carry("control", 1)
      one.carry("control", 5)
      assert.strictEqual(traffic.today().control.sent, 16)
    }))

  it.effect("is worth a write of its own only where it has grown, and not more often than every five minutes", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(noon)
      const { traffic } = yield* makeTraffic({ streams: "1Mi" })
      const { carry, session } = yield* fakeSession
      traffic.guard(session)
      carry("streams", 20_000)
      assert.isFalse(traffic.due())
      yield* TestClock.adjust("5 minutes")
      assert.isTrue(traffic.due())
      write(traffic)
      assert.isFalse(traffic.due())
      carry("control", 500_000)
      carry("streams", 5_000)
      yield* TestClock.adjust("1 hour")
      assert.isFalse(traffic.due())
      carry("control", 600_000)
      assert.isTrue(traffic.due())
    }))

  it.effect("waits five minutes for that also where the clock is set back meanwhile", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(noon)
      const { traffic } = yield* makeTraffic({})
      const { carry, session } = yield* fakeSession
      traffic.guard(session)
      carry("control", 2_000_000)
      yield* TestClock.setTime(noon - 3_600_000)
      assert.isFalse(traffic.due())
      yield* TestClock.adjust("5 minutes")
      assert.isTrue(traffic.due())
    }))
})
