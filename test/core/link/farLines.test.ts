/** Lines that are slow or far, and such that lose much: what is sent again there, and what is not. */
import { assert, describe, it } from "@effect/vitest"
import { Priority } from "../../../core/gen/aranya/link/v1/link_pb.ts"
import { Line, type LineOptions } from "./line.ts"

const minute = 60_000

interface Said {
  readonly bytes: number
  readonly every: number
  readonly times: number
  readonly priority?: Priority
}

/** Bytes on the wire for each byte said, where so much is said so often for so long. */
const cost = (line: Line, options: Said) => {
  const before = line.bytes
  for (let times = 0; times < options.times; times++) {
    line.say(options.bytes, options.priority)
    assert.isUndefined(line.pass(options.every))
  }
  assert.isUndefined(line.pass(5 * minute))
  assert.strictEqual(line.device.underWay, 0, "all has arrived")
  return (line.bytes - before) / (options.bytes * options.times)
}

describe("what is said over a line that loses nothing", () => {
  it.each<[string, LineOptions, Said]>([
    ["a little each minute with round trips of 3 s", { roundTripMillis: 3_000, bytesPerSecond: 1e6 }, {
      bytes: 4_000,
      every: minute,
      times: 60
    }],
    ["a little each minute with round trips of 8 s", { roundTripMillis: 8_000, bytesPerSecond: 1e6 }, {
      bytes: 4_000,
      every: minute,
      times: 60
    }],
    ["much over 2 KB/s", { roundTripMillis: 1_000, bytesPerSecond: 2_000 }, {
      bytes: 50_000,
      every: minute,
      times: 20,
      priority: Priority.BULK
    }],
    ["commands that take longer to pass than the longest pause between resends", {
      roundTripMillis: 3_000,
      bytesPerSecond: 250
    }, {
      bytes: 8_000,
      every: 3 * minute,
      times: 30
    }],
    ["much over 250 B/s with round trips of 3 s", { roundTripMillis: 3_000, bytesPerSecond: 250 }, {
      bytes: 8_000,
      every: 2 * minute,
      times: 30,
      priority: Priority.BULK
    }]
  ])("is hardly ever said again: %s", (_, options, said) => {
    const line = new Line(options)
    assert.isBelow(cost(line, said), 1.2)
    assert.isAtLeast(line.device.rate.roundTrip ?? 0, options.roundTripMillis, "the round trip is known")
  })

  it("is hardly ever said again where the line becomes slow while it is in use", () => {
    const line = new Line({ roundTripMillis: 50, bytesPerSecond: 1e6 })
    const said = { bytes: 4_000, every: minute, times: 30 }
    assert.isBelow(cost(line, said), 1.1)
    line.change({ roundTripMillis: 3_500, bytesPerSecond: 1e6 })
    assert.isBelow(cost(line, said), 1.2)
  })
})

describe("what is lost", () => {
  it.each(Array.from({ length: 20 }, (_, index) => index + 1))(
    "arrives in good time over a line that loses 30 %, seed %i",
    (seed) => {
      const line = new Line({ roundTripMillis: 100, bytesPerSecond: 1e5, loss: 0.3, seed })
      for (let times = 0; times < 40; times++) {
        line.say(1_000)
        if (line.pass(5_000) !== undefined) line.connect()
      }
      for (let times = 0; line.device.underWay > 0; times++) {
        assert.isBelow(times, 24, "within four minutes")
        if (line.pass(10_000) !== undefined) line.connect()
      }
    }
  )

  it.each<[string, number]>([["not known yet", 0], ["known", 20]])(
    "goes again all at once where a connection swallows much and then carries, its round trip %s",
    (_, before) => {
      const good = { roundTripMillis: 100, bytesPerSecond: 1e6 }
      const line = new Line(good)
      for (let times = 0; times < before; times++) {
        line.say(100)
        line.pass(1_000)
      }
      line.change({ ...good, loss: 1 })
      // Each in a packet of its own.
      for (let times = 0; times < 50; times++) {
        line.say(200)
        line.pass(50)
      }
      line.change(good)
      assert.isUndefined(line.pass(15_000))
      assert.strictEqual(line.device.underWay, 0)
    }
  )
})
