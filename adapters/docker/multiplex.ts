/**
 * Reads docker's byte streams: output of two kinds in frames of `kind, 0, 0, 0, length (4 bytes, big endian)`, and logs, whose
 * every message begins with its time. State is held between calls; nothing is buffered but heads and one message. A third kind of
 * frame is docker's own words on why there is no more.
 */
import type { LogChunk, Output } from "../../core/pod/ContainerRuntime.ts"

/** Bytes that are not what docker promises. */
export class Malformed extends Error {
  override readonly name = "Malformed"
}

/** Docker's own words in place of what was asked for. */
export class Complaint extends Error {
  override readonly name = "docker"
}

/** Longer ones are cut. */
const MOST_WORDS = 4096
const SYSTEM_ERROR = 3

interface Piece extends Output {
  /** Whether it is the last one of its frame. */
  readonly ends: boolean
}

/** Pieces of frames as they come; frames may be cut anywhere. */
const makeFrames = () => {
  const head = new Uint8Array(8)
  let headLength = 0
  let remaining = 0
  let words = Buffer.alloc(0)
  return function*(bytes: Uint8Array): Generator<Piece> {
    let at = 0
    while (at < bytes.length) {
      if (remaining === 0) {
        const take = Math.min(8 - headLength, bytes.length - at)
        head.set(bytes.subarray(at, at + take), headLength)
        headLength += take
        at += take
        if (headLength < 8) break
        headLength = 0
        if (head[0]! > SYSTEM_ERROR || head[1] !== 0 || head[2] !== 0 || head[3] !== 0) {
          throw new Malformed("docker sent a stream that is not framed as it should be")
        }
        remaining = new DataView(head.buffer).getUint32(4)
        continue
      }
      // A copy, not a Buffer's slice: a few bytes must not keep all that docker sent.
      const piece = new Uint8Array(bytes.subarray(at, at + remaining))
      remaining -= piece.length
      at += piece.length
      if (head[0] === SYSTEM_ERROR) {
        words = Buffer.concat([words, piece]).subarray(0, MOST_WORDS)
        if (remaining === 0 || words.length === MOST_WORDS) throw new Complaint(words.toString().trim())
        continue
      }
      yield { stream: head[0] === 2 ? "stderr" : "stdout", bytes: piece, ends: remaining === 0 }
    }
  }
}

/** Output as it comes. */
export const makeDemultiplexer = (): (bytes: Uint8Array) => ReadonlyArray<Output> => {
  const frames = makeFrames()
  return (bytes) => Array.from(frames(bytes), ({ bytes, stream }) => ({ stream, bytes }))
}

/** `2006-01-02T15:04:05.000000000Z `. */
const STAMP = 31
const stamp = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z /
/** Docker cuts a line after so many bytes, also in the middle of a character. */
const CUT = 16 * 1024
/** Each byte that is no text comes back as U+FFFD, which has three. */
const MOST_MESSAGE = 3 * CUT
const NEWLINE = 10

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")

const timeOf = (message: Uint8Array): string => {
  const found = latin1(message.subarray(0, STAMP))
  if (found.search(stamp) !== 0) {
    // With a terminal docker's own words have no frame either.
    const [said = ""] = Buffer.from(message.subarray(0, MOST_WORDS)).toString().split("\n", 1)
    throw new Malformed(`docker sent a log line without its time: ${said.trim()}`)
  }
  return found.trimEnd()
}

/** Without a terminal each frame is a message. */
const makeFramedLog = () => {
  const frames = makeFrames()
  let parts: Array<Uint8Array> = []
  let length = 0
  return function*(bytes: Uint8Array): Generator<LogChunk> {
    for (const piece of frames(bytes)) {
      parts.push(piece.bytes)
      length += piece.bytes.length
      if (length > STAMP + MOST_MESSAGE) throw new Malformed("docker sent a log line that is longer than it can be")
      if (!piece.ends) continue
      const message = Buffer.concat(parts)
      parts = []
      length = 0
      yield { stream: piece.stream, time: timeOf(message), bytes: new Uint8Array(message.subarray(STAMP)) }
    }
  }
}

/** Where the first of messages ends that follow each other with nothing in between; 0 where that is not known yet. */
const endOfFirst = (all: Uint8Array, last: boolean): number => {
  const newline = all.subarray(0, STAMP + MOST_MESSAGE).indexOf(NEWLINE, STAMP)
  if (newline >= 0 && newline < STAMP + CUT) return newline + 1
  // A line that docker has cut has one time, which begins each of its pieces.
  const behind = latin1(all.subarray(STAMP + CUT, newline < 0 ? STAMP + MOST_MESSAGE + STAMP : newline))
  const again = behind.indexOf(latin1(all.subarray(0, STAMP)))
  if (again >= 0) return STAMP + CUT + again
  if (newline >= 0) return newline + 1
  if (behind.length < MOST_MESSAGE - CUT + STAMP) return last ? all.length : 0
  // An engine that was started again, or left out pieces because it was too slow, goes on with another time.
  const other = behind.search(stamp)
  if (other < 0) throw new Malformed("docker sent a log line that is longer than it can be")
  return STAMP + CUT + other
}

/** With a terminal there are no frames. */
const makeRawLog = () => {
  let rest = new Uint8Array()
  return function*(bytes: Uint8Array | undefined): Generator<LogChunk> {
    let all: Uint8Array = bytes === undefined ? rest : rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    while (all.length > STAMP || bytes === undefined && all.length > 0) {
      const time = timeOf(all)
      const end = endOfFirst(all, bytes === undefined)
      if (end === 0) break
      yield { stream: "stdout", time, bytes: new Uint8Array(all.subarray(STAMP, end)) }
      all = all.subarray(end)
    }
    rest = new Uint8Array(all)
  }
}

/** Log messages of a container with or without a terminal; `undefined` is the end. What was good before it failed is told first. */
export const makeLogReader = (tty: boolean): (bytes: Uint8Array | undefined) => ReadonlyArray<LogChunk> => {
  const raw = makeRawLog()
  const framed = makeFramedLog()
  let failure: unknown
  return (bytes) => {
    if (failure !== undefined) throw failure
    const found: Array<LogChunk> = []
    try {
      for (const chunk of tty ? raw(bytes) : framed(bytes ?? new Uint8Array())) found.push(chunk)
    } catch (error) {
      if (found.length === 0) throw error
      failure = error
    }
    return found
  }
}
