/**
 * SPDY/3.1 frames, as kubectl and the API server write them (moby/spdystream): control frames are read whole, data frames piece
 * by piece as they come, so that one of 16 MiB needs no room.
 */
import { SpdyError } from "./SpdyError.ts"

const version = 3
const headBytes = 8
/** Beyond this no control frame of a client makes sense: a few short headers for a stream. */
const mostControlBytes = 64 * 1024

const types = { synStream: 1, synReply: 2, rstStream: 3, ping: 6, goAway: 7, headers: 8 } as const
const fin = 0x01

/** Reasons of RST_STREAM. */
export const resetStatus = { protocolError: 1, invalidStream: 2, refused: 3, cancel: 5, internalError: 6 } as const
/** Reasons of GOAWAY. */
export const goAwayStatus = { ok: 0, protocolError: 1, internalError: 2 } as const

export type Frame =
  | { readonly _tag: "Data"; readonly stream: number; readonly bytes: Uint8Array; readonly fin: boolean }
  | { readonly _tag: "SynStream"; readonly stream: number; readonly block: Uint8Array; readonly fin: boolean }
  | { readonly _tag: "Headers"; readonly stream: number; readonly block: Uint8Array; readonly fin: boolean }
  | { readonly _tag: "RstStream"; readonly stream: number; readonly status: number }
  | { readonly _tag: "Ping"; readonly id: number }
  | { readonly _tag: "GoAway" }

const concat = (one: Uint8Array, other: Uint8Array): Uint8Array => {
  if (one.length === 0) return other
  const both = new Uint8Array(one.length + other.length)
  both.set(one)
  both.set(other, one.length)
  return both
}

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
const streamId = (body: Uint8Array) => view(body).getUint32(0) & 0x7fffffff

/** Frames out of bytes, however they were cut. */
export class FrameReader {
  private rest: Uint8Array = new Uint8Array(0)
  private data: { readonly stream: number; readonly fin: boolean; left: number } | undefined

  /** The frames that these bytes complete; throws `SpdyError` where they are none. */
  read(bytes: Uint8Array): ReadonlyArray<Frame> {
    this.rest = concat(this.rest, bytes)
    const frames: Array<Frame> = []
    while (true) {
      const frame = this.data === undefined ? this.next() : this.piece()
      if (frame === undefined) return frames
      if (frame !== "skipped") frames.push(frame)
    }
  }

  private take(count: number): Uint8Array {
    const taken = this.rest.subarray(0, count)
    this.rest = this.rest.subarray(count)
    return taken
  }

  private piece(): Frame | undefined {
    const { data } = this
    if (data === undefined || (this.rest.length === 0 && data.left > 0)) return undefined
    const bytes = this.take(Math.min(data.left, this.rest.length))
    data.left -= bytes.length
    if (data.left === 0) this.data = undefined
    return { _tag: "Data", stream: data.stream, bytes, fin: data.fin && data.left === 0 }
  }

  private next(): Frame | "skipped" | undefined {
    if (this.rest.length < headBytes) return undefined
    const head = view(this.rest)
    const word = head.getUint32(0)
    const flags = head.getUint8(4)
    const length = head.getUint32(4) & 0xffffff
    if (word < 0x80000000) {
      this.take(headBytes)
      if (word === 0) throw new SpdyError({ detail: "data for stream 0" })
      this.data = { stream: word, fin: (flags & fin) !== 0, left: length }
      return "skipped"
    }
    if (((word >>> 16) & 0x7fff) !== version) throw new SpdyError({ detail: "a frame of another version than 3" })
    if (length > mostControlBytes) throw new SpdyError({ detail: `a control frame of ${length} bytes` })
    if (this.rest.length < headBytes + length) return undefined
    this.take(headBytes)
    return control(word & 0xffff, flags, this.take(length))
  }
}

/** Kinds that ask nothing of a server (SETTINGS, WINDOW_UPDATE: nobody here has flow control) are skipped. */
const control = (type: number, flags: number, body: Uint8Array): Frame | "skipped" => {
  const atLeast = (bytes: number) => {
    if (body.length < bytes) throw new SpdyError({ detail: `a frame of type ${type} with ${body.length} bytes` })
  }
  switch (type) {
    case types.synStream:
      atLeast(10)
      return { _tag: "SynStream", stream: streamId(body), block: body.subarray(10), fin: (flags & fin) !== 0 }
    case types.headers:
      atLeast(4)
      return { _tag: "Headers", stream: streamId(body), block: body.subarray(4), fin: (flags & fin) !== 0 }
    case types.rstStream:
      atLeast(8)
      return { _tag: "RstStream", stream: streamId(body), status: view(body).getUint32(4) }
    case types.ping:
      atLeast(4)
      return { _tag: "Ping", id: view(body).getUint32(0) }
    case types.goAway:
      return { _tag: "GoAway" }
    case types.synReply:
      throw new SpdyError({ detail: "a reply to a stream that this side never opened" })
    default:
      return "skipped"
  }
}

const controlFrame = (type: number, flags: number, body: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(headBytes + body.length)
  const head = view(bytes)
  head.setUint16(0, 0x8000 | version)
  head.setUint16(2, type)
  head.setUint32(4, body.length)
  head.setUint8(4, flags)
  bytes.set(body, headBytes)
  return bytes
}

const numbers = (...values: ReadonlyArray<number>): Uint8Array => {
  const bytes = new Uint8Array(values.length * 4)
  for (const [index, value] of values.entries()) view(bytes).setUint32(index * 4, value)
  return bytes
}

export const dataFrame = (stream: number, bytes: Uint8Array, last: boolean): Uint8Array => {
  const frame = new Uint8Array(headBytes + bytes.length)
  const head = view(frame)
  head.setUint32(0, stream)
  head.setUint32(4, bytes.length)
  head.setUint8(4, last ? fin : 0)
  frame.set(bytes, headBytes)
  return frame
}
export const synReplyFrame = (stream: number, block: Uint8Array): Uint8Array =>
  controlFrame(types.synReply, 0, concat(numbers(stream), block))
export const rstStreamFrame = (stream: number, status: number): Uint8Array =>
  controlFrame(types.rstStream, 0, numbers(stream, status))
export const pingFrame = (id: number): Uint8Array => controlFrame(types.ping, 0, numbers(id))
export const goAwayFrame = (lastGood: number, status: number): Uint8Array =>
  controlFrame(types.goAway, 0, numbers(lastGood, status))
