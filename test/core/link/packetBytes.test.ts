import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { FrameSchema, PacketSchema, SegmentSchema } from "../../../core/gen/aranya/link/v1/link_pb.ts"
import { encodePacket, encodeSealedFrame } from "../../../core/link/packetBytes.ts"
import { noise } from "./noise.ts"

type Bytes = Uint8Array<ArrayBuffer>

const Uint32 = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 32 - 1 }))
const Safe = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))
const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

const Segment = Schema.Struct({
  stream: Uint32,
  kind: upTo(6),
  data: upTo(300),
  more: Schema.Boolean,
  length: Uint32,
  inflated: Uint32,
  credit: Safe,
  priority: upTo(4),
  error: upTo(5),
  detail: Schema.String
})
const Packet = Schema.Struct({
  ack: Safe,
  held: Safe,
  beat: Schema.Boolean,
  sequence: Safe,
  question: Uint32,
  answered: Uint32,
  segments: Schema.Array(Segment)
})

describe("a packet's bytes", () => {
  it.prop("are those of protobuf's own encoder", [Packet], ([{ ack, held, segments, sequence, ...rest }]) => {
    const packet = create(PacketSchema, {
      ...rest,
      ack: BigInt(ack),
      held: BigInt(held),
      sequence: BigInt(sequence),
      segments: segments.map(({ credit, data, error, kind, priority, ...each }) => {
        const segment = create(SegmentSchema, { ...each, credit: BigInt(credit), data: noise(data, data) as Bytes })
        // Numbers that a later version may give a meaning to are numbers all the same.
        return Object.assign(segment, { error, kind, priority })
      })
    })
    assert.deepStrictEqual(encodePacket(packet), toBinary(PacketSchema, packet))
  })

  it("are so for what begins and ends a session, and for numbers of 64 bits", () => {
    for (
      const packet of [
        create(PacketSchema, { hello: { device: "edge-1" }, ack: 3n }),
        create(PacketSchema, { closed: { why: "over" } }),
        create(PacketSchema, { refused: { code: "x" } }),
        create(PacketSchema, { welcome: { operatorVersion: "1" } }),
        create(PacketSchema, { ack: 2n ** 63n, segments: [{ credit: 2n ** 60n }] })
      ]
    ) assert.deepStrictEqual(encodePacket(packet), toBinary(PacketSchema, packet))
  })

  it("lie in a frame with its counter, whatever their length", () => {
    for (const counter of [0, 1, 127, 128, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
      for (const length of [0, 16, 127, 128, 16_384, 70_000]) {
        const sealed = noise(length, 1)
        const frame = create(FrameSchema, { counter: BigInt(counter), sealed: sealed as Bytes })
        assert.deepStrictEqual(encodeSealedFrame(counter, sealed), toBinary(FrameSchema, frame))
        assert.strictEqual(fromBinary(FrameSchema, encodeSealedFrame(counter, sealed)).counter, BigInt(counter))
      }
    }
  })
})
