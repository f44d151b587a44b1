/**
 * Reads docker's byte streams: output of two kinds in frames of `kind, 0, 0, 0, length (4 bytes, big endian)`, and logs, whose
 * every message of at most 16 KiB begins with its time. State is held between calls; nothing is buffered but heads and one message.
 */
import type { LogChunk, Output } from "../../core/pod/ContainerRuntime.ts"

/** Bytes that are not what docker promises. */
export class Malformed extends Error {
  override readonly name = "Malformed"
}

/** Pieces of output as they come; frames may be cut anywhere. */
export const makeDemultiplexer = (): (bytes: Uint8Array) => ReadonlyArray<Output> => {
  const head = new Uint8Array(8)
  let headLength = 0
  let remaining = 0
  return (bytes) => {
    const found: Array<Output> = []
    let at = 0
    while (at < bytes.length) {
      if (remaining === 0) {
        const take = Math.min(8 - headLength, bytes.length - at)
        head.set(bytes.subarray(at, at + take), headLength)
        headLength += take
        at += take
        if (headLength < 8) break
        headLength = 0
        if (head[0]! > 2 || head[1] !== 0 || head[2] !== 0 || head[3] !== 0) {
          throw new Malformed("docker sent a stream that is not framed as it should be")
        }
        remaining = new DataView(head.buffer).getUint32(4)
        continue
      }
      const take = Math.min(remaining, bytes.length - at)
      found.push({ stream: head[0] === 2 ? "stderr" : "stdout", bytes: bytes.slice(at, at + take) })
      remaining -= take
      at += take
    }
    return found
  }
}

/** `2006-01-02T15:04:05.000000000Z `. */
const STAMP = 31
const MOST_MESSAGE = 16 * 1024
const NEWLINE = 10

/** Cuts what comes on one stream into messages and takes the time off each. */
const makeMessages = (stream: Output["stream"]): (bytes: Uint8Array, last: boolean) => ReadonlyArray<LogChunk> => {
  let rest = new Uint8Array(0)
  return (bytes, last) => {
    let all: Uint8Array = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    const found: Array<LogChunk> = []
    while (all.length > STAMP) {
      const limit = STAMP + MOST_MESSAGE
      const newline = all.subarray(0, limit).indexOf(NEWLINE, STAMP)
      // A message cut by docker has exactly the greatest length and no newline; a newline that comes right after it is a message too.
      const length = newline >= 0 ? newline + 1 : all.length >= limit ? limit : last ? all.length : 0
      if (length === 0) break
      const time = Buffer.from(all.subarray(0, STAMP - 1)).toString("latin1")
      if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/.test(time)) {
        throw new Malformed("docker sent a log line without its time")
      }
      found.push({ stream, time, bytes: all.slice(STAMP, length) })
      all = all.subarray(length)
    }
    // A copy, not a Buffer's slice: a few bytes must not keep all that docker sent.
    rest = new Uint8Array(all)
    return found
  }
}

/** Log messages of a container with or without a terminal; `undefined` is the end. */
export const makeLogReader = (tty: boolean): (bytes: Uint8Array | undefined) => ReadonlyArray<LogChunk> => {
  const out = makeMessages("stdout")
  const err = makeMessages("stderr")
  const demultiplex = makeDemultiplexer()
  const nothing = new Uint8Array(0)
  return (bytes) => {
    if (bytes === undefined) return [...out(nothing, true), ...err(nothing, true)]
    if (tty) return out(bytes, false)
    return demultiplex(bytes).flatMap((piece) => (piece.stream === "stdout" ? out : err)(piece.bytes, false))
  }
}
