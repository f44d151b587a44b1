/** `aranya.link.v1.Link/Connect` as grpc-js wants a method to be described: frames in, frames out. */
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf"
import type { MethodDefinition } from "@grpc/grpc-js"
import { ConnectRequestSchema, ConnectResponseSchema, Link } from "../../core/gen/aranya/link/v1/service_pb.ts"

type Frame = Uint8Array

const serializer =
  <D extends DescMessage>(desc: D, wrap: (frame: Frame) => MessageShape<D>) => (frame: Frame): Buffer => {
    const bytes = toBinary(desc, wrap(frame))
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

const request = {
  serialize: serializer(
    ConnectRequestSchema,
    (frame) => create(ConnectRequestSchema, { frame: frame as Uint8Array<ArrayBuffer> })
  ),
  deserialize: (bytes: Buffer): Frame => fromBinary(ConnectRequestSchema, bytes, { readUnknownFields: false }).frame
}
const response = {
  serialize: serializer(
    ConnectResponseSchema,
    (frame) => create(ConnectResponseSchema, { frame: frame as Uint8Array<ArrayBuffer> })
  ),
  deserialize: (bytes: Buffer): Frame => fromBinary(ConnectResponseSchema, bytes, { readUnknownFields: false }).frame
}

export const linkMethod: MethodDefinition<Frame, Frame> = {
  path: `/${Link.typeName}/${Link.method.connect.name}`,
  requestStream: true,
  responseStream: true,
  requestSerialize: request.serialize,
  requestDeserialize: request.deserialize,
  responseSerialize: response.serialize,
  responseDeserialize: response.deserialize
}

/** What gRPC and protobuf may add to a frame: length prefix, field tag, length. */
export const messageOverhead = 16
