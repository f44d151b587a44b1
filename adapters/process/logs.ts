/** Reads what the shim's pumps wrote: numbered segments per stream, each with an index of sizes and times of writing. */
import { Effect, Stream } from "effect"
import { existsSync, readdirSync, statSync } from "node:fs"
import { open } from "node:fs/promises"
import { join } from "node:path"
import type { LogChunk, LogQuery, Output, RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import { isMissing, readIfThere, unavailable } from "./disk.ts"

const READ_BYTES = 64 * 1024
/** A longer line is given in pieces, as docker does. */
const MOST_LINE = 16 * 1024
const NEWLINE = 10
const POLL = "100 millis"
/** Somebody waits for what was typed to appear. */
const SCREEN_POLL = "30 millis"

/** `2026-11-21 02:47:01.123456789 +0000`, with TZ unset and UTC, to RFC 3339; fewer digits are filled up. */
const rfc3339 = (written: string): string => {
  const [date = "", time = ""] = written.split(" ")
  const [seconds = "", fraction = ""] = time.split(".")
  return `${date}T${seconds}.${fraction.slice(0, 9).padEnd(9, "0")}Z`
}

const ofMillis = (millis: number): string => {
  const whole = Math.floor(millis)
  const nanos = `${whole % 1000}`.padStart(3, "0") + `${Math.floor((millis - whole) * 1e6)}`.padStart(6, "0")
  return `${new Date(whole).toISOString().slice(0, 19)}.${nanos}Z`
}

const segmentsOf = (folder: string, stream: Output["stream"]): ReadonlyArray<number> => {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .map((name) => new RegExp(`^${stream}\\.(\\d+)$`).exec(name)?.[1])
    .filter((number) => number !== undefined).map(Number).toSorted((one, other) => one - other)
}

/** Reads one stream forward, line by line, never more than what was written when it looked. */
const makeCursor = (folder: string, stream: Output["stream"], ended: () => boolean) => {
  let segment = 0
  let offset = 0
  let index: ReadonlyArray<{ readonly size: number; readonly time: string }> = []
  let indexLength = 0
  let rest: Uint8Array = new Uint8Array(0)
  let restTime = ""

  const refresh = (path: string) => {
    const text = readIfThere(`${path}.index`) ?? ""
    if (text.length === indexLength) return
    indexLength = text.length
    // A last line that is being written has no newline yet.
    index = text.slice(0, text.lastIndexOf("\n") + 1).split("\n").filter((line) => line !== "").map((line) => {
      const space = line.indexOf(" ")
      return { size: Number(line.slice(0, space)), time: rfc3339(line.slice(space + 1)) }
    })
  }

  const read = async (path: string, length: number): Promise<Uint8Array> => {
    const file = await open(path, "r")
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(length, READ_BYTES)), 0, undefined, offset)
      return buffer.subarray(0, bytesRead)
    } finally {
      await file.close()
    }
  }

  /** The next piece of one write, or undefined when there is none now. */
  const nextPiece = async (): Promise<{ readonly bytes: Uint8Array; readonly time: string } | undefined> => {
    const numbers = segmentsOf(folder, stream)
    const current = numbers.find((number) => number >= segment)
    if (current === undefined) return undefined
    if (current !== segment) {
      segment = current
      offset = 0
      index = []
      indexLength = 0
    }
    const path = join(folder, `${stream}.${segment}`)
    refresh(path)
    const entry = index.find(({ size }) => size > offset)
    const over = ended()
    if (entry === undefined && (over || numbers.some((number) => number > segment))) {
      // Without an index: the pump was killed after it wrote, the file's own time has to do.
      const { mtimeMs, size } = statSync(path)
      if (size > offset) return { bytes: await advance(path, size - offset), time: ofMillis(mtimeMs) }
      if (!numbers.some((number) => number > segment)) return undefined
      segment += 1
      offset = 0
      index = []
      indexLength = 0
      return nextPiece()
    }
    if (entry === undefined) return undefined
    return { bytes: await advance(path, entry.size - offset), time: entry.time }
  }

  const advance = async (path: string, length: number) => {
    const bytes = await read(path, length)
    if (bytes.length === 0) throw new Error(`${path} is shorter than its index says`)
    offset += bytes.length
    return bytes
  }

  const take = (length: number, time: string): LogChunk => {
    const chunk: LogChunk = { stream, time, bytes: rest.slice(0, length) }
    rest = rest.subarray(length)
    return chunk
  }

  return {
    /** The next bytes as they were written, in whatever pieces. */
    nextBytes: async (): Promise<Uint8Array | undefined> =>
      (await nextPiece().catch((error: unknown) => {
        if (isMissing(error)) return undefined
        throw error
      }))?.bytes,
    /** The next line; a line that is not finished yet only when nothing more will come. */
    next: async (): Promise<LogChunk | undefined> => {
      for (;;) {
        const newline = rest.subarray(0, MOST_LINE).indexOf(NEWLINE)
        if (newline >= 0) return take(newline + 1, restTime)
        if (rest.length >= MOST_LINE) return take(MOST_LINE, restTime)
        const over = ended()
        const piece = await nextPiece().catch((error: unknown) => {
          // Rotated away under a slow reader: go on with what is left.
          if (isMissing(error)) return undefined
          throw error
        })
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

/** Both streams in the order of time. */
const makeReader = (folder: string, ended: () => boolean) => {
  const cursors = [makeCursor(folder, "stdout", ended), makeCursor(folder, "stderr", ended)]
  const heads: Array<LogChunk | undefined> = [undefined, undefined]
  return {
    next: async (): Promise<LogChunk | undefined> => {
      for (const [at, cursor] of cursors.entries()) heads[at] ??= await cursor.next()
      const [out, err] = heads
      const first = out === undefined ? 1 : err === undefined ? 0 : err.time < out.time ? 1 : 0
      const chunk = heads[first]
      heads[first] = undefined
      return chunk
    },
    skipToEnd: () => {
      for (const cursor of cursors) cursor.skipToEnd()
    }
  }
}

const attempt = <A>(step: () => Promise<A>): Effect.Effect<A, RuntimeError> =>
  Effect.tryPromise({
    try: step,
    catch: (cause) => unavailable(`the log cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`)
  })

/** What a terminal shows from now on: not by lines, a prompt has no end of line. */
export const readScreen = (folder: string, ended: () => boolean): Stream.Stream<Uint8Array, RuntimeError> =>
  Stream.suspend(() => {
    let over = ended()
    const cursor = makeCursor(folder, "stdout", () => over)
    cursor.skipToEnd()
    const next: Effect.Effect<Uint8Array | undefined, RuntimeError> = Effect.flatMap(
      attempt(cursor.nextBytes),
      (bytes) => {
        if (bytes !== undefined || over) return Effect.succeed(bytes)
        const last = ended()
        return Effect.andThen(
          last ? Effect.void : Effect.sleep(SCREEN_POLL),
          Effect.suspend(() => {
            over = last
            return next
          })
        )
      }
    )
    return Stream.takeWhile(Stream.fromEffectRepeat(next), (bytes) => bytes !== undefined)
  })

/** As many lines as are there, within what is read at once: handing on each by itself would cost more than reading it. */
const readMany = async (next: () => Promise<LogChunk | undefined>): Promise<ReadonlyArray<LogChunk>> => {
  const chunks: Array<LogChunk> = []
  try {
    for (let bytes = 0; bytes < READ_BYTES;) {
      const chunk = await next()
      if (chunk === undefined) break
      chunks.push(chunk)
      bytes += chunk.bytes.length
    }
  } catch (error) {
    // It comes again when what was read before it has been shown.
    if (chunks.length === 0) throw error
  }
  return chunks
}

/** `ended` tells whether nothing more will be written; `fromNow` skips what is there. */
export const readLogs = (
  folder: string,
  query: LogQuery,
  ended: () => boolean,
  fromNow = false
): Stream.Stream<LogChunk, RuntimeError> =>
  Stream.unwrap(Effect.gen(function*() {
    const skip = query.tail === undefined ? 0 : yield* attempt(async () => {
      const counting = makeReader(folder, () => true)
      let lines = 0
      let open = false
      for (let chunk = await counting.next(); chunk !== undefined; chunk = await counting.next()) {
        open = chunk.bytes.at(-1) !== NEWLINE
        if (!open) lines += 1
      }
      return Math.max(0, lines + (open ? 1 : 0) - (query.tail ?? 0))
    })
    // What is written after the look would otherwise be missed by a reader that saw the process alive.
    let over = query.follow ? ended() : true
    const reader = makeReader(folder, () => over)
    if (fromNow) reader.skipToEnd()
    const since = query.since === undefined ? "" : ofMillis(query.since)
    let line = 0
    const next: Effect.Effect<ReadonlyArray<LogChunk> | undefined, RuntimeError> = Effect.flatMap(
      attempt(() => readMany(reader.next)),
      (chunks) => {
        if (chunks.length > 0) return Effect.succeed(chunks)
        if (over) return Effect.undefined
        const last = ended()
        return Effect.andThen(
          last ? Effect.void : Effect.sleep(POLL),
          Effect.suspend(() => {
            over = last
            return next
          })
        )
      }
    )
    return Stream.fromEffectRepeat(next).pipe(
      Stream.takeWhile((chunks) => chunks !== undefined),
      Stream.flattenIterable,
      Stream.filter((chunk) => {
        const shown = line >= skip
        if (chunk.bytes.at(-1) === NEWLINE) line += 1
        return shown && chunk.time >= since
      })
    )
  }))
