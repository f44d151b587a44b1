/** Reads the index of one segment of a log forward, each part of it once: when the segment grew to which size. */
import { type FileHandle, open } from "node:fs/promises"
import { isMissing } from "./disk.ts"

const READ_BYTES = 64 * 1024

export interface Written {
  /** Of the segment, with this piece. */
  readonly size: number
  /** RFC 3339 with nine decimals. */
  readonly time: string
}

/** `4096 2026-11-21 02:47:01.123456789 +0000`, in UTC. Some know fewer digits, or leave the zone away. */
const LINE =
  /^([1-9][0-9]{0,14}) ([0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(?: \+0000)?$/

/** Undefined for what a full disk left of a line, alone or in one with the line after it. */
const parse = (line: string): Written | undefined => {
  const [, size, date, time, fraction = ""] = LINE.exec(line) ?? []
  return size === undefined ? undefined : { size: Number(size), time: `${date}T${time}.${fraction.padEnd(9, "0")}Z` }
}

export const openIfThere = (path: string): Promise<FileHandle | undefined> =>
  open(path, "r").catch((error: unknown) => {
    if (isMissing(error)) return undefined
    throw error
  })

export type LogIndex = ReturnType<typeof makeLogIndex>

export const makeLogIndex = (path: string) => {
  let file: FileHandle | undefined
  let offset = 0
  const bytes = Buffer.alloc(READ_BYTES)
  /** A last line that is being written has no newline yet. */
  let begun = ""
  let pieces: ReadonlyArray<Written> = []
  let at = 0

  /** Takes in what comes next, if there is any. */
  const readOn = async (): Promise<boolean> => {
    file ??= await openIfThere(path)
    const { bytesRead = 0 } = await file?.read(bytes, 0, READ_BYTES, offset) ?? {}
    offset += bytesRead
    const lines = (begun + bytes.toString("latin1", 0, bytesRead)).split("\n")
    begun = lines.pop() ?? ""
    pieces = lines.map(parse).filter((piece) => piece !== undefined)
    at = 0
    return bytesRead > 0
  }

  return {
    /** The piece that the byte at `position` belongs to, which is never before one asked for earlier; undefined while it is not known. */
    pieceAt: async (position: number): Promise<Written | undefined> => {
      do {
        for (; at < pieces.length; at++) {
          const piece = pieces[at]
          if (piece !== undefined && piece.size > position) return piece
        }
      } while (await readOn())
      return undefined
    },
    /** The size that the segment is known to have. */
    reach: (): number => pieces.at(-1)?.size ?? 0,
    close: async (): Promise<void> => {
      const held = file
      file = undefined
      await held?.close()
    }
  }
}
