import { create } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { SegmentSchema } from "../../../core/gen/aranya/link/v1/link_pb.ts"
import { AckRate } from "../../../core/link/session/AckRate.ts"
import { InOrder, segmentCost } from "../../../core/link/session/InOrder.ts"
import { ReceivePool } from "../../../core/link/session/ReceivePool.ts"

const segment = (stream: number, bytes = 10) => create(SegmentSchema, { stream, data: new Uint8Array(bytes) })

describe("segments out of order", () => {
  it("come out in order, each once, and nothing is kept of what came before", () => {
    const order = new InOrder(10, 10_000)
    const took: Array<number> = []
    for (const sequence of [2, 3, 3, 1, 1, 2, 5, 4, 4]) {
      order.offer(sequence, segment(sequence))
      for (let next = order.take(); next !== undefined; next = order.take()) took.push(next.stream)
    }
    assert.deepStrictEqual(took, [1, 2, 3, 4, 5])
    assert.isFalse(order.offer(5, segment(5)))
    assert.isFalse(order.gap)
    assert.strictEqual(order.received, 5)
  })

  it("are held up to a number and a size, but the next one is always taken", () => {
    const order = new InOrder(3, 100 + 3 * segmentCost)
    assert.isTrue(order.offer(2, segment(2, 50)))
    assert.isFalse(order.offer(3, segment(3, 51 + segmentCost)))
    assert.isTrue(order.offer(9, segment(9, 0)))
    assert.isTrue(order.offer(7, segment(7, 0)))
    assert.isFalse(order.offer(8, segment(8, 0)))
    assert.strictEqual(order.beyond, 2)
    assert.isTrue(order.offer(1, segment(1, 1000)))
    assert.strictEqual(order.take()?.stream, 1)
  })

  it("are held with all that belongs to them, and without the packets that they came in", () => {
    const order = new InOrder(10, 2000)
    assert.isFalse(order.offer(2, create(SegmentSchema, { detail: "x".repeat(2000) })))
    const packet = Buffer.alloc(64 * 1024, 7)
    assert.isTrue(order.offer(2, create(SegmentSchema, { data: packet.subarray(100, 110) })))
    order.offer(1, segment(1))
    order.take()
    const held = order.take()?.data
    assert.deepStrictEqual([...held ?? []], Array.from({ length: 10 }, () => 7))
    assert.strictEqual(held?.buffer.byteLength, 10)
    assert.strictEqual(order.heldBytes, 0)
  })
})

describe("the receive pool", () => {
  it("gives to large messages in turn, and keeps an eighth for streams to come", () => {
    const pool = new ReceivePool(1000)
    const granted: Array<string> = []
    pool.reserveLater(600, () => granted.push("first"))
    pool.reserveLater(825, () => granted.push("second"))
    const giveUp = pool.reserveLater(100, () => granted.push("third"))
    pool.reserveLater(50, () => granted.push("fourth"))
    assert.deepStrictEqual(granted, ["first"])
    assert.isTrue(pool.tryReserve(400))
    assert.isFalse(pool.tryReserve(1))
    pool.release(400)
    giveUp()
    pool.release(600)
    assert.deepStrictEqual(granted, ["first", "second", "fourth"])
    assert.strictEqual(pool.free, 125)
  })

  it("lets windows grow only beside a message, and not before those that wait", () => {
    const pool = new ReceivePool(1000)
    assert.isFalse(pool.tryGrow(376, 500))
    assert.isTrue(pool.tryGrow(100, 500))
    let granted = false
    pool.reserveLater(800, () => {
      granted = true
    })
    assert.isFalse(pool.tryGrow(100, 500))
    pool.release(100)
    assert.isTrue(granted)
  })
})

describe("the measured rate", () => {
  it("allows what the line carries in the queueing time and one and a half round trips, at least 16 KiB", () => {
    const rate = new AckRate(250, 4 * 1024 * 1024)
    assert.strictEqual(rate.window, 16 * 1024)
    // 100 bytes per millisecond, 50 ms away.
    for (let at = 0, sent = []; at < 2000; at += 10) {
      sent.push(rate.depart(at, 16 * 1024))
      if (at >= 50) rate.arrive(at, 1000, sent.shift())
    }
    assert.approximately(rate.window, 100 * 325, 3_000)
    assert.approximately(rate.roundTrip ?? 0, 50, 1)
  })

  /** A line of 25 ms each way that carries `carries` bytes in a millisecond, kept as full as is allowed. */
  const keepFull = (rate: AckRate, carries: (at: number) => number, until: number, look: (at: number) => void) => {
    const underWay: Array<ReturnType<AckRate["depart"]>> = []
    let room = 0
    for (let at = 0; at < until; at++) {
      while (underWay.length * 1000 < rate.window) underWay.push(rate.depart(at, underWay.length * 1000))
      for (room += carries(at); room >= 1000; room -= 1000) {
        const [oldest] = underWay
        if (oldest === undefined || oldest.at + 50 > at) break
        underWay.shift()
        rate.arrive(at, 1000, oldest)
      }
      room = Math.min(room, 2000)
      look(at)
    }
  }

  it("does not take what it queues itself for a longer line, however long that is kept full", () => {
    const rate = new AckRate(50, 4 * 1024 * 1024)
    let most = 0
    keepFull(rate, () => 1000, 120_000, (at) => {
      if (at > 5_000) most = Math.max(most, rate.window)
    })
    assert.isAbove(rate.window, 1000 * 100)
    assert.isBelow(most, 1000 * 160)
  })

  it("forgets within some seconds what a line carried that carries less by now", () => {
    const rate = new AckRate(50, 4 * 1024 * 1024)
    keepFull(rate, (at) => at < 5_000 ? 1000 : 300, 9_000, () => {})
    assert.isBelow(rate.window, 300 * 160)
  })
})
