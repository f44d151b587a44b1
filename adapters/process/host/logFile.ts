/** Reads the agent's own log file line by line, from its end where that is asked for, and on into the next after a rotation. */
import { Effect, Stream } from "effect"
import { stat } from "node:fs/promises"
import { type FileHandle, open } from "node:fs/promises"
import type { HostLogQuery } from "../../../core/agent/host/HostAccess.ts"
import type { LogChunk, RuntimeError } from "../../../core/pod/ContainerRuntime.ts"
import { PodStreamError } from "../../../core/pod/PodRuntime.ts"
import { isMissing, unavailable } from "../disk.ts"

const READ_BYTES = 64 * 1024
/** A longer line is given in pieces. */
const MOST_LINE = 16 * 1024
const NEWLINE = 10
const POLL = "250 millis"

/** Lines of JSON begin with their time; those for people have only the time of day, and are taken to be as old as the line before. */
const stamped = /^\{"time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z"/
const longestStamp = 48

const timeOf = (line: Uint8Array): string | undefined => {
  const found = stamped.exec(Buffer.from(line.buffer, line.byteOffset, Math.min(line.length, longestStamp)).toString())
  return found === null ? undefined : `${found[1]}.${(found[2] ?? "").padEnd(9, "0")}Z`
}

const ofMillis = (millis: number) => new Date(millis).toISOString().replace(/Z$/, "000000Z")

const attempt = <A>(step: () => Promise<A>): Effect.Effect<A, RuntimeError> =>
  Effect.tryPromise({
    try: step,
    catch: (cause) => unavailable(`the log cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`)
  })

/** Where the last `lines` lines begin. */
const tailOffset = async (file: FileHandle, size: number, lines: number): Promise<number> => {
  if (lines <= 0) return size
  const block = Buffer.alloc(READ_BYTES)
  let left = lines
  for (let end = size; end > 0;) {
    const begin = Math.max(0, end - READ_BYTES)
    const { bytesRead } = await file.read(block, 0, end - begin, begin)
    for (let at = bytesRead - 1; at >= 0; at--) {
      // The newline that ends the last line begins no other.
      if (block[at] === NEWLINE && begin + at !== size - 1 && --left === 0) return begin + at + 1
    }
    end = begin
  }
  return 0
}

/** Goes through the file that has this name; with `follow` on into the one that takes its place. */
class LineReader {
  readonly #path: string
  readonly #follow: boolean
  #file: FileHandle
  #offset: number
  /** Without `follow` what is written later is not shown, so that reading ends. */
  readonly #end: number
  #rest: Buffer = Buffer.alloc(0)
  #time: string

  constructor(options: {
    readonly path: string
    readonly follow: boolean
    readonly file: FileHandle
    readonly offset: number
    readonly end: number
    readonly time: string
  }) {
    this.#path = options.path
    this.#follow = options.follow
    this.#file = options.file
    this.#offset = options.offset
    this.#end = options.follow ? Number.POSITIVE_INFINITY : options.end
    this.#time = options.time
  }

  async #read(): Promise<Buffer> {
    const length = Math.min(READ_BYTES, this.#end - this.#offset)
    if (length <= 0) return Buffer.alloc(0)
    const { buffer, bytesRead } = await this.#file.read(Buffer.alloc(length), 0, length, this.#offset)
    this.#offset += bytesRead
    return buffer.subarray(0, bytesRead)
  }

  /** Whether another file has taken the name. */
  async #replaced(): Promise<boolean> {
    const [ours, named] = await Promise.all([
      this.#file.stat(),
      stat(this.#path).catch((error: unknown) => {
        if (isMissing(error)) return undefined // in the middle of a rotation
        throw error
      })
    ])
    if (named !== undefined && named.ino === ours.ino && named.size < this.#offset) this.#offset = 0
    return named !== undefined && named.ino !== ours.ino
  }

  #take(length: number): LogChunk {
    const bytes = this.#rest.subarray(0, length)
    this.#rest = this.#rest.subarray(length)
    this.#time = timeOf(bytes) ?? this.#time
    return { stream: "stdout", time: this.#time, bytes }
  }

  /** Undefined where there is nothing more, or nothing more yet. */
  async next(): Promise<LogChunk | undefined> {
    for (;;) {
      const newline = this.#rest.subarray(0, MOST_LINE).indexOf(NEWLINE)
      if (newline >= 0) return this.#take(newline + 1)
      if (this.#rest.length >= MOST_LINE) return this.#take(MOST_LINE)
      const replaced = this.#follow && await this.#replaced()
      const read = await this.#read()
      if (read.length > 0) {
        this.#rest = this.#rest.length === 0 ? read : Buffer.concat([this.#rest, read])
        continue
      }
      if (replaced) {
        // Nobody writes to a file that was renamed: that was all of it.
        const fresh = await open(this.#path, "r")
        await this.#file.close()
        this.#file = fresh
        this.#offset = 0
        continue
      }
      return !this.#follow && this.#rest.length > 0 ? this.#take(this.#rest.length) : undefined
    }
  }

  close() {
    return this.#file.close()
  }
}

const openLog = (path: string, query: HostLogQuery) =>
  attempt(async () => {
    const file = await open(query.previous ? `${path}.old` : path, "r").catch((error: unknown) => {
      if (isMissing(error)) return undefined
      throw error
    })
    if (file === undefined) return undefined
    try {
      const { mtimeMs, size } = await file.stat()
      const offset = query.tail === undefined ? 0 : await tailOffset(file, size, query.tail)
      return new LineReader({ path, follow: query.follow, file, offset, end: size, time: ofMillis(mtimeMs) })
    } catch (error) {
      await file.close()
      throw error
    }
  })

/** A log file is renamed to `FILE.old` when it is full: that is the previous one. Open for as long as the scope. */
export const readLogFile = Effect.fnUntraced(function*(path: string, query: HostLogQuery) {
  const reader = yield* Effect.acquireRelease(
    openLog(path, query),
    (reader) => reader === undefined ? Effect.void : Effect.promise(() => reader.close())
  )
  if (reader === undefined) {
    return yield* new PodStreamError({
      reason: "NotReady",
      detail: query.previous ? "the agent's log has not been rotated yet" : `the agent has no log at ${path} yet`
    })
  }
  const since = query.since === undefined ? "" : ofMillis(query.since)
  const next: Effect.Effect<LogChunk | undefined, RuntimeError> = Effect.suspend(() =>
    Effect.flatMap(
      attempt(() => reader.next()),
      (chunk) => chunk !== undefined || !query.follow ? Effect.succeed(chunk) : Effect.andThen(Effect.sleep(POLL), next)
    )
  )
  return Stream.fromEffectRepeat(next).pipe(
    Stream.takeWhile((chunk) => chunk !== undefined),
    Stream.filter(({ time }) => time >= since)
  )
})
