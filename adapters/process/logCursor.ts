/** Reads one stream of a container's log forward through its segments, from the oldest that is kept. */
import { readdirSync, statSync } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { join } from "node:path"
import type { LogChunk, Output } from "../../core/pod/ContainerRuntime.ts"
import { isMissing, readIfThere } from "./disk.ts"

export const READ_BYTES = 64 * 1024
/** A longer line is given in pieces, as docker does. */
const MOST_LINE = 16 * 1024
export const NEWLINE = 10

/** `2026-11-21 02:47:01.123456789 +0000`, with TZ unset and UTC, to RFC 3339; fewer digits are filled up. */
const rfc3339 = (written: string): string => {
  const [date = "", time = ""] = written.split(" ")
  const [seconds = "", fraction = ""] = time.split(".")
  return `${date}T${seconds}.${fraction.slice(0, 9).padEnd(9, "0")}Z`
}

export const ofMillis = (millis: number): string => {
  const whole = Math.floor(millis)
  const nanos = `${whole % 1000}`.padStart(3, "0") + `${Math.floor((millis - whole) * 1e6)}`.padStart(6, "0")
  return `${new Date(whole).toISOString().slice(0, 19)}.${nanos}Z`
}

const tooFast = "it is written faster than it is read, and what comes next was dropped by rotation: ask for it again"

const namesIn = (folder: string): ReadonlyArray<string> => {
  try {
    return readdirSync(folder)
  } catch (error) {
    throw isMissing(error) ? new Error("the container was removed meanwhile") : error
  }
}

const segmentsOf = (folder: string, stream: Output["stream"]): ReadonlyArray<number> =>
  namesIn(folder)
    .map((name) => new RegExp(`^${stream}\\.(\\d+)$`).exec(name)?.[1])
    .filter((number) => number !== undefined).map(Number).toSorted((one, other) => one - other)

const openIfThere = (path: string): Promise<FileHandle | undefined> =>
  open(path, "r").catch((error: unknown) => {
    if (isMissing(error)) return undefined
    throw error
  })

/** Line by line, never more than what was written when it looked. Throws where something was lost on the way. */
export const makeCursor = (folder: string, stream: Output["stream"], ended: () => boolean) => {
  let segment = 0
  let offset = 0
  let index: ReadonlyArray<{ readonly size: number; readonly time: string }> = []
  let indexLength = 0
  /** Kept open, so that a segment that is dropped by rotation can be read to its end. */
  let file: FileHandle | undefined
  let rest: Uint8Array = new Uint8Array(0)
  let restTime = ""

  const refresh = (path: string) => {
    const text = readIfThere(`${path}.index`) ?? ""
    if (text.length <= indexLength) return
    indexLength = text.length
    // A last line that is being written has no newline yet.
    index = text.slice(0, text.lastIndexOf("\n") + 1).split("\n").filter((line) => line !== "").map((line) => {
      const space = line.indexOf(" ")
      return { size: Number(line.slice(0, space)), time: rfc3339(line.slice(space + 1)) }
    })
  }

  const close = async () => {
    const held = file
    file = undefined
    await held?.close()
  }

  const turnTo = async (number: number) => {
    await close()
    segment = number
    offset = 0
    index = []
    indexLength = 0
  }

  const advance = async (held: FileHandle, path: string, length: number) => {
    const { buffer, bytesRead } = await held.read(Buffer.alloc(Math.min(length, READ_BYTES)), 0, undefined, offset)
    if (bytesRead === 0) throw new Error(`${path} is shorter than its index says`)
    offset += bytesRead
    return buffer.subarray(0, bytesRead)
  }

  /** The next piece of one write, or undefined when there is none now. */
  const nextPiece = async (): Promise<{ readonly bytes: Uint8Array; readonly time: string } | undefined> => {
    const numbers = segmentsOf(folder, stream)
    const beginning = segment === 0
    if (beginning) {
      const [oldest] = numbers
      if (oldest === undefined) return undefined
      await turnTo(oldest)
    }
    const path = join(folder, `${stream}.${segment}`)
    if (file === undefined) {
      const opened = await openIfThere(path)
      if (opened === undefined && beginning) {
        segment = 0
        return nextPiece()
      }
      if (opened === undefined) throw new Error(tooFast)
      file = opened
    }
    refresh(path)
    const entry = index.find(({ size }) => size > offset)
    if (entry !== undefined) return { bytes: await advance(file, path, entry.size - offset), time: entry.time }
    const isLast = !numbers.some((number) => number > segment)
    if (isLast && !ended()) return undefined
    // Without an index: the pump was killed after it wrote, or the index was dropped; the file's own time has to do.
    const { mtimeMs, size } = await file.stat()
    if (size > offset) return { bytes: await advance(file, path, size - offset), time: ofMillis(mtimeMs) }
    if (isLast) return undefined
    await turnTo(segment + 1)
    return nextPiece()
  }

  const take = (length: number, time: string): LogChunk => {
    const chunk: LogChunk = { stream, time, bytes: rest.slice(0, length) }
    rest = rest.subarray(length)
    return chunk
  }

  return {
    close,
    /** The next bytes as they were written, in whatever pieces. */
    nextBytes: async (): Promise<Uint8Array | undefined> => (await nextPiece())?.bytes,
    /** The next line; a line that is not finished yet only when nothing more will come. */
    next: async (): Promise<LogChunk | undefined> => {
      for (;;) {
        const newline = rest.subarray(0, MOST_LINE).indexOf(NEWLINE)
        if (newline >= 0) return take(newline + 1, restTime)
        if (rest.length >= MOST_LINE) return take(MOST_LINE, restTime)
        const over = ended()
        const piece = await nextPiece()
        if (piece === undefined) return over && rest.length > 0 ? take(rest.length, restTime) : undefined
        rest = rest.length === 0 ? piece.bytes : Buffer.concat([rest, piece.bytes])
        restTime = piece.time
      }
    },
    /** Goes to the end of what was written. */
    skipToEnd: () => {
      const last = segmentsOf(folder, stream).at(-1)
      if (last === undefined) return
      segment = last
      offset = statSync(join(folder, `${stream}.${last}`)).size
    }
  }
}
