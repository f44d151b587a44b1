/** What a device may believe of how lately its operator heard it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, SubscriptionRef } from "effect"
import { LastWord } from "../../../core/link/client/LastWord.ts"
import { defaultLimits } from "../../../core/link/LinkLimits.ts"
import { defaultTimings } from "../../../core/link/LinkTimings.ts"
import { Conversation } from "../../../core/link/session/Conversation.ts"
import { inWorld } from "./world.ts"

const leave = () => {}
const pair = () => {
  const device = new Conversation("device", defaultTimings, defaultLimits)
  const operator = new Conversation("operator", defaultTimings, defaultLimits)
  device.attach(0, 65_536, 0, leave)
  operator.attach(0, 65_536, 0, leave)
  return { device, operator }
}
const plain = 4096

describe("the last word", () => {
  it("is as old as the question that was answered, however long the answer was under way", () => {
    const { device, operator } = pair()
    device.askWithin = 10_000
    device.next(0, plain)
    const asked = device.next(20_000, plain)
    assert.strictEqual(asked?.question, 1)
    operator.packet(asked!, 20_100)
    const answer = operator.next(20_100, plain)
    assert.strictEqual(answer?.answered, 1)
    device.packet(answer!, 100_000)
    assert.strictEqual(device.acknowledgedAt, 20_000)
    assert.strictEqual(device.next(100_000, plain)?.question, 2, "and it is asked for anew")
  })

  it("is not made any younger by what the operator says of its own accord", () => {
    const { device, operator } = pair()
    device.askWithin = 10_000
    device.packet(operator.next(0, plain)!, 50_000)
    assert.isUndefined(device.acknowledgedAt)
  })

  it("does not ask in a loop where nobody answers the question itself", () => {
    const { device } = pair()
    device.askWithin = 8_000
    let asked = 0
    for (let now = 0; now < 80_000; now += 10) {
      device.quietly(() => {
        if (device.next(now, plain)?.beat === true) asked += 1
      })
    }
    assert.isAtMost(asked, 80)
    assert.isAtLeast(asked, 8)
  })

  it("costs nothing where nobody wants to know", () => {
    const { device, operator } = pair()
    device.next(0, plain)
    const asked = device.next(90_000, plain)
    assert.deepInclude(asked, { beat: true, question: 0 })
    operator.packet(asked!, 90_000)
    assert.strictEqual(operator.next(90_000, plain)?.answered, 0)
  })

  it.live.each(["and the device hears nothing either", "and says again that it is welcome"])(
    "is not that of a handshake whose end the operator never heard, %s",
    (end) =>
      inWorld({}, ({ admitted, client, transport }) =>
        Effect.gen(function*() {
          const settled = Effect.map(SubscriptionRef.get(client.state), ({ status }) => status === "Connected")
          while (!(yield* settled)) yield* Effect.sleep(100)
          client.askWithin(10_000)
          yield* Effect.sleep("1 minute")
          const before = client.acknowledgedAt() ?? 0
          assert.isAbove(before, 50_000)
          yield* transport.refuse("Refused")
          yield* transport.cut()
          // Until its session is over: the next one has to be let in.
          yield* Effect.sleep("10 minutes")
          assert.isFalse(yield* settled)
          yield* transport.weather({ delayMillis: [1000, 1000] })
          yield* transport.refuse(undefined)
          const lives = admitted.length
          for (let tries = 0; tries < 10_000 && admitted.length === lives; tries++) yield* Effect.sleep(10)
          assert.isAbove(admitted.length, lives)
          // The welcome is on its way; what would tell the operator that it came is not heard.
          yield* transport.weather({ blackHole: true }, end.includes("again") ? "toOperator" : undefined)
          yield* Effect.sleep("2 minutes")
          assert.isBelow(client.acknowledgedAt() ?? 0, before + 20_000)
        }))
  )

  it("is remembered over sessions and never grows older", () => {
    const word = new LastWord()
    const { device } = pair()
    word.askWithin(5)
    word.follow(device)
    assert.strictEqual(device.askWithin, 5)
    device.hearing.known(9)
    assert.strictEqual(word.acknowledgedAt, 9)
    const { device: next } = pair()
    word.follow(next)
    next.hearing.known(8)
    assert.strictEqual(word.acknowledgedAt, 9)
  })
})
