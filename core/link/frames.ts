/** Frames and packets as bytes, and back; bytes from outside that are neither come out as undefined. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import {
  type Frame,
  FrameSchema,
  type Introduction,
  IntroductionSchema,
  type Packet,
  PacketSchema,
  type Refusal,
  RefusalSchema
} from "../gen/aranya/link/v1/link_pb.ts"

const reading = { readUnknownFields: false }
const writing = { writeUnknownFields: false }

/** Frame, tags, counter, lengths and the seal's tag. */
export const frameOverhead = 40
/** Acknowledgements, sequence and one segment's fields around its data. */
export const packetOverhead = 64
export const segmentOverhead = 40

/** What bytes of a peer mean must never be able to throw: length, depth and numbers are all the sender's. */
const attempt = <A>(read: () => A): A | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}

export const encodeFrame = (frame: Partial<Omit<Frame, "$typeName" | "$unknown">>): Uint8Array =>
  toBinary(FrameSchema, create(FrameSchema, frame), writing)

export const decodeFrame = (bytes: Uint8Array): Frame | undefined =>
  attempt(() => fromBinary(FrameSchema, bytes, reading))

export const decodePacket = (bytes: Uint8Array): Packet | undefined =>
  attempt(() => fromBinary(PacketSchema, bytes, reading))

export const encodeIntroduction = (introduction: { readonly namespace: string; readonly device: string }): Uint8Array =>
  toBinary(IntroductionSchema, create(IntroductionSchema, introduction), writing)

export const decodeIntroduction = (bytes: Uint8Array): Introduction | undefined =>
  attempt(() => fromBinary(IntroductionSchema, bytes, reading))

export const encodeRefusal = (refusal: { readonly code: string; readonly detail: string }): Uint8Array =>
  toBinary(RefusalSchema, create(RefusalSchema, refusal), writing)

export const decodeRefusal = (bytes: Uint8Array): Refusal | undefined =>
  attempt(() => fromBinary(RefusalSchema, bytes, reading))

/** Numbers on the wire have 64 bits; what does not fit a double is nobody's counter. */
export const toNumber = (wide: bigint): number | undefined =>
  wide <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(wide) : undefined
