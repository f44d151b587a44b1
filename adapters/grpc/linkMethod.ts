/** `aranya.link.v1.Link/Connect` as grpc-js wants a method to be described: frames in, frames out. */
import { fromBinary } from "@bufbuild/protobuf"
import type { MethodDefinition } from "@grpc/grpc-js"
import { ConnectRequestSchema, ConnectResponseSchema, Link } from "../../core/gen/aranya/link/v1/service_pb.ts"

type Frame = Uint8Array

const reading = { readUnknownFields: false }

/** Both messages are one field, `frame`; its bytes are copied once. */
const serialize = (frame: Frame): Buffer => {
  if (frame.length === 0) return Buffer.alloc(0)
  const head = [frameField]
  let left = frame.length
  for (; left >= 128; left >>>= 7) head.push((left & 127) | 128)
  head.push(left)
  const bytes = Buffer.allocUnsafe(head.length + frame.length)
  bytes.set(head)
  bytes.set(frame, head.length)
  return bytes
}

/** Field 1, of a length of its own. */
const frameField = 0x0a

export const linkMethod: MethodDefinition<Frame, Frame> = {
  path: `/${Link.typeName}/${Link.method.connect.name}`,
  requestStream: true,
  responseStream: true,
  requestSerialize: serialize,
  requestDeserialize: (bytes) => fromBinary(ConnectRequestSchema, bytes, reading).frame,
  responseSerialize: serialize,
  responseDeserialize: (bytes) => fromBinary(ConnectResponseSchema, bytes, reading).frame
}

/** What gRPC and protobuf may add to a frame: length prefix, field tag, length. */
export const messageOverhead = 16
