/** How one end of a connection through a broker holds back, where the broker delivers more than was sent. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import { type BrokeredEnd, type BrokeredEndOptions, makeBrokeredEnd } from "../../../adapters/mqtt/brokeredEnd.ts"
import { makeHostClock } from "../../simulation/HostClock.ts"
import { simulate } from "../../simulation/VirtualTime.ts"

const makeEnd = (
  options: Pick<BrokeredEndOptions, "clock" | "transmit" | "tellTaken">
) =>
  makeBrokeredEnd({
    description: "an end",
    maxFrame: 65_536,
    pool: { used: 0, most: Number.MAX_SAFE_INTEGER },
    proven: Effect.void,
    ...options
  })

const today = Date.parse("2026-11-21T12:00:00Z")
const frameLength = 16 * 1024
const frames = 20 * 1024 * 1024 / frameLength

/** 20 MiB across, of which `deliver` brings what it likes, a millisecond each; answers with how many seconds it took. */
const secondsFor = Effect.fnUntraced(function*(
  deliver: (frame: Uint8Array, receiver: BrokeredEnd, sender: BrokeredEnd) => void
) {
  const clock = yield* Clock.Clock
  const sender: BrokeredEnd = makeEnd({
    clock,
    transmit: (frame) => Effect.delay(Effect.sync(() => deliver(frame, receiver, sender)), "1 milli"),
    tellTaken: () => {}
  })
  const receiver: BrokeredEnd = makeEnd({
    clock,
    transmit: () => Effect.void,
    tellTaken: (total) => sender.taken(total)
  })
  const missing = new Set(Array.from({ length: frames }, (_, at) => at))
  const start = yield* Clock.currentTimeMillis
  yield* Effect.forkScoped(Effect.gen(function*() {
    for (let at = 0; at < frames; at++) {
      const frame = new Uint8Array(frameLength)
      new DataView(frame.buffer).setUint32(0, at)
      yield* sender.connection.send(frame)
    }
  }))
  while (missing.size > 0) {
    const { buffer, byteOffset } = yield* receiver.connection.receive
    missing.delete(new DataView(buffer, byteOffset).getUint32(0))
  }
  return ((yield* Clock.currentTimeMillis) - start) / 1000
})

describe("one end of a connection that a broker carries", () => {
  for (
    const [what, deliver] of [
      ["each frame twice", (frame, receiver) => {
        receiver.offer(frame)
        receiver.offer(frame)
      }],
      ["a stranger's frames among the others", (frame, receiver) => {
        receiver.offer(frame)
        receiver.offer(new Uint8Array(200).fill(0xFF))
      }],
      ["forged words of how much was taken", (frame, receiver, sender) => {
        receiver.offer(frame)
        sender.taken(Number.MAX_SAFE_INTEGER)
        sender.taken(1)
      }]
    ] as ReadonlyArray<readonly [string, Parameters<typeof secondsFor>[0]]>
  ) {
    it.live(`is as fast as the broker, which delivers ${what}`, () =>
      simulate(1, () =>
        Effect.scoped(Effect.gen(function*() {
          assert.isBelow(yield* secondsFor(deliver), 3)
        }))))
  }

  it.live("writes off what was lost also where the clock is set back", () =>
    simulate(1, (time) =>
      Effect.scoped(Effect.gen(function*() {
        const { clock, jump } = makeHostClock(time, { offsetMillis: 0, rate: 1 })
        let sent = 0
        const { connection } = makeEnd({
          clock,
          transmit: () => Effect.sync(() => void (sent += 1)),
          tellTaken: () => {}
        })
        yield* Effect.forkScoped(Effect.forever(connection.send(new Uint8Array(frameLength))))
        yield* Effect.sleep("1 second")
        const window = sent
        jump(-3_600_000)
        yield* Effect.sleep("20 seconds")
        assert.isAbove(sent, window)
      }))))

  it.effect("has no short frame confirmed a second after the last was, also where the clock is set back", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(today)
      const asked: Array<boolean> = []
      const { connection } = makeEnd({
        clock: yield* Clock.Clock,
        transmit: (_, { settled, wanted }) =>
          Effect.sync(() => {
            asked.push(wanted())
            settled()
          }),
        tellTaken: () => {}
      })
      yield* connection.send(new Uint8Array(frameLength))
      yield* connection.send(new Uint8Array(20))
      yield* TestClock.setTime(today - 3_600_000)
      yield* TestClock.adjust("2 seconds")
      yield* connection.send(new Uint8Array(20))
      assert.deepStrictEqual(asked, [true, true, false])
    }))
})
