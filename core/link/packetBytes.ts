/**
 * A packet's bytes, written once and in place: what a stream fills a line with passes here, and the general encoder of protobuf
 * moves each byte four times. Field numbers are those of `link.proto`; a test compares the two.
 */
import { toBinary } from "@bufbuild/protobuf"
import { type Packet, PacketSchema, type Segment } from "../gen/aranya/link/v1/link_pb.ts"

const writing = { writeUnknownFields: false }
const utf8 = new TextEncoder()
const nothing = new Uint8Array(0)

const sizeOfNumber = (value: number): number => {
  let size = 1
  for (let left = value; left >= 128; left = Math.floor(left / 128)) size += 1
  return size
}

const putNumber = (into: Uint8Array, at: number, value: number): number => {
  let left = value
  while (left >= 128) {
    into[at++] = (left % 128) | 128
    left = Math.floor(left / 128)
  }
  into[at++] = left
  return at
}

/** Field numbers below 16 take one byte with the kind of their value. */
const number = (field: number) => field << 3
const bytes = (field: number) => (field << 3) | 2

const sizeOfField = (value: number): number => value === 0 ? 0 : 1 + sizeOfNumber(value)
const sizeOfBytes = (length: number): number => length === 0 ? 0 : 1 + sizeOfNumber(length) + length

const putField = (into: Uint8Array, at: number, field: number, value: number): number => {
  if (value === 0) return at
  into[at] = number(field)
  return putNumber(into, at + 1, value)
}

const putBytes = (into: Uint8Array, at: number, field: number, value: Uint8Array): number => {
  if (value.length === 0) return at
  into[at] = bytes(field)
  const from = putNumber(into, at + 1, value.length)
  into.set(value, from)
  return from + value.length
}

const sizeOfSegment = (
  { credit, data, error, inflated, kind, length, more, priority, stream }: Segment,
  detail: number
) =>
  sizeOfField(stream) + sizeOfField(kind) + sizeOfBytes(data.length) + (more ? 2 : 0) + sizeOfField(length) +
  sizeOfField(inflated) + sizeOfField(Number(credit)) + sizeOfField(priority) + sizeOfField(error) + sizeOfBytes(detail)

const putSegment = (into: Uint8Array, from: number, segment: Segment, detail: Uint8Array): number => {
  let at = putField(into, from, 1, segment.stream)
  at = putField(into, at, 2, segment.kind)
  at = putBytes(into, at, 3, segment.data)
  at = putField(into, at, 4, segment.more ? 1 : 0)
  at = putField(into, at, 5, segment.length)
  at = putField(into, at, 6, segment.inflated)
  at = putField(into, at, 7, Number(segment.credit))
  at = putField(into, at, 8, segment.priority)
  at = putField(into, at, 9, segment.error)
  return putBytes(into, at, 10, detail)
}

const mostSafe = BigInt(Number.MAX_SAFE_INTEGER)

/** What a session says once and again; what begins and ends one is rare, and left to the general encoder. */
const isPlain = ({ ack, closed, held, hello, refused, segments, sequence, welcome }: Packet): boolean =>
  hello === undefined && welcome === undefined && refused === undefined && closed === undefined &&
  ack <= mostSafe && held <= mostSafe && sequence <= mostSafe && segments.every(({ credit }) => credit <= mostSafe)

export const encodePacket = (packet: Packet): Uint8Array => {
  if (!isPlain(packet)) return toBinary(PacketSchema, packet, writing)
  const [ack, held, sequence] = [Number(packet.ack), Number(packet.held), Number(packet.sequence)]
  const details = packet.segments.map(({ detail }) => detail === "" ? nothing : utf8.encode(detail))
  const sizes = packet.segments.map((segment, index) => sizeOfSegment(segment, details[index]?.length ?? 0))
  let size = sizeOfField(ack) + sizeOfField(held) + (packet.beat ? 2 : 0) + sizeOfField(sequence) +
    sizeOfField(packet.question) + sizeOfField(packet.answered)
  for (const each of sizes) size += 1 + sizeOfNumber(each) + each

  const into = new Uint8Array(size)
  let at = putField(into, 0, 1, ack)
  at = putField(into, at, 2, held)
  at = putField(into, at, 3, packet.beat ? 1 : 0)
  at = putField(into, at, 4, sequence)
  for (const [index, segment] of packet.segments.entries()) {
    into[at] = bytes(5)
    at = putNumber(into, at + 1, sizes[index] ?? 0)
    at = putSegment(into, at, segment, details[index] ?? nothing)
  }
  at = putField(into, at, 10, packet.question)
  putField(into, at, 11, packet.answered)
  return into
}

/** A frame that holds a packet under its key: its counter, and the sealed bytes. */
export const encodeSealedFrame = (counter: number, sealed: Uint8Array): Uint8Array => {
  const into = new Uint8Array(sizeOfField(counter) + sizeOfBytes(sealed.length))
  putBytes(into, putField(into, 0, 4, counter), 5, sealed)
  return into
}
