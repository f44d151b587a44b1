/** Reads one stream of a container's log forward through its segments, from the oldest that is kept. */
import { readdirSync, statSync } from "node:fs"
import type { FileHandle } from "node:fs/promises"
import { join } from "node:path"
import type { LogChunk, Output } from "../../core/pod/ContainerRuntime.ts"
import { isMissing } from "./disk.ts"
import { type LogIndex, makeLogIndex, openIfThere } from "./logIndex.ts"

export const READ_BYTES = 64 * 1024
/** A longer line is given in pieces, as docker does. */
const MOST_LINE = 16 * 1024
export const NEWLINE = 10

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

/** Line by line, never more than what was written when it looked. Throws where something was lost on the way. */
export const makeCursor = (folder: string, stream: Output["stream"], ended: () => boolean) => {
  let segment = 0
  let offset = 0
  /** Kept open, so that a segment that is dropped by rotation can be read to its end. */
  let held: { readonly path: string; readonly file: FileHandle; readonly index: LogIndex } | undefined
  /** Read ahead: the disk is not asked for each piece by itself. */
  let block: Uint8Array = new Uint8Array(0)
  let rest: Uint8Array = new Uint8Array(0)
  let restTime = ""

  const close = async () => {
    const former = held
    held = undefined
    await former?.file.close()
    await former?.index.close()
  }

  const turnTo = async (number: number) => {
    await close()
    segment = number
    offset = 0
  }

  /** Up to `length` bytes of a segment that is said to have `reach` of them or more; none at its end. */
  const advance = async ({ file }: NonNullable<typeof held>, length: number, reach: number) => {
    if (block.length === 0) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(reach - offset, READ_BYTES)), {
        position: offset
      })
      block = buffer.subarray(0, bytesRead)
    }
    const bytes = block.subarray(0, length)
    block = block.subarray(bytes.length)
    offset += bytes.length
    return bytes
  }

  const nextIndexed = async (from: NonNullable<typeof held>) => {
    const piece = await from.index.pieceAt(offset)
    if (piece === undefined) return undefined
    const bytes = await advance(from, piece.size - offset, from.index.reach())
    // Two lines that a full disk made one may say more than there is: then the index has told all it knows.
    return bytes.length === 0 ? undefined : { bytes, time: piece.time }
  }

  /** The next piece of one write, or undefined when there is none now. */
  const nextPiece = async (): Promise<{ readonly bytes: Uint8Array; readonly time: string } | undefined> => {
    const beginning = segment === 0
    if (beginning) {
      const [oldest] = segmentsOf(folder, stream)
      if (oldest === undefined) return undefined
      await turnTo(oldest)
    }
    if (held === undefined) {
      const path = join(folder, `${stream}.${segment}`)
      const file = await openIfThere(path)
      if (file === undefined && beginning) {
        segment = 0
        return nextPiece()
      }
      if (file === undefined) throw new Error(tooFast)
      held = { path, file, index: makeLogIndex(`${path}.index`) }
    }
    const from = held
    const piece = await nextIndexed(from)
    if (piece !== undefined) return piece
    const isLast = !segmentsOf(folder, stream).some((number) => number > segment)
    if (isLast && !ended()) return undefined
    // It may have been written and closed between the two looks.
    const late = isLast ? undefined : await nextIndexed(from)
    if (late !== undefined) return late
    // Without an index: the pump was killed after it wrote, or the index was dropped; the file's own time has to do.
    const { mtimeMs, size } = await from.file.stat()
    if (size > offset) return { bytes: await advance(from, size - offset, size), time: ofMillis(mtimeMs) }
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
