import { create } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { Kind, SegmentSchema } from "../../../core/gen/aranya/link/v1/link_pb.ts"
import { Cryptography } from "../../../core/link/Cryptography.ts"
import { defaultLimits } from "../../../core/link/LinkLimits.ts"
import { defaultTimings } from "../../../core/link/LinkTimings.ts"
import { Conversation } from "../../../core/link/session/Conversation.ts"
import { Streams } from "../../../core/link/session/Streams.ts"

/** The streams of an operator, and a channel that a device opened. */
const channel = Effect.gen(function*() {
  const conversation = new Conversation("operator", defaultTimings, defaultLimits)
  const streams = new Streams(conversation, yield* Cryptography, () => 0, () => {})
  streams.segment(create(SegmentSchema, { stream: 1, kind: Kind.OPEN }))
  const stream = streams.table.find(1)
  if (stream === undefined) return yield* Effect.die("it was not opened")
  return { streams, stream }
}).pipe(Effect.provide(NodeCryptography.layer))

/** One byte of a packet that is full of other things. */
const byte = (value: number) => Buffer.alloc(64 * 1024, value).subarray(100, 101)

describe("messages in pieces", () => {
  it.effect("take little more memory than what came of them, however small the pieces", () =>
    Effect.gen(function*() {
      const { stream, streams } = yield* channel
      const length = 10_000
      for (let at = 0; at < length; at++) {
        const more = at < length - 1
        const segment = create(SegmentSchema, {
          stream: 1,
          data: byte(at % 251),
          more,
          ...(at === 0 ? { length } : {})
        })
        assert.isUndefined(streams.segment(segment))
        if (more) assert.isAtMost(stream.partial?.whole?.buffer.byteLength ?? Infinity, 2 * (at + 1))
      }
      const [arrived] = stream.arrived
      assert.strictEqual(arrived?.data.buffer.byteLength, length)
      assert.deepStrictEqual(streams.read(stream), Uint8Array.from({ length }, (_, at) => at % 251))
    }))

  it.effect("do not keep the packets that they came in, if they are small", () =>
    Effect.gen(function*() {
      const { stream, streams } = yield* channel
      assert.isUndefined(streams.segment(create(SegmentSchema, { stream: 1, data: byte(7) })))
      const [message] = stream.arrived
      assert.deepStrictEqual(message?.data, Uint8Array.of(7))
      assert.strictEqual(message?.data.buffer.byteLength, 1)
    }))

  it.effect("are none where their kind is unknown: nothing is kept of what costs no credit", () =>
    Effect.gen(function*() {
      const { stream, streams } = yield* channel
      for (const kind of [-1, 6, 2 ** 31 - 1]) {
        assert.isUndefined(streams.segment(create(SegmentSchema, { stream: 1, kind: kind as Kind, data: byte(7) })))
      }
      assert.lengthOf(stream.arrived, 0)
    }))
})
