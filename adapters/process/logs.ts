/** Reads what the shim's pumps wrote: numbered segments per stream, each with an index of sizes and times of writing. */
import { type Duration, Effect, Stream } from "effect"
import type { LogChunk, LogQuery, RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import { unavailable } from "./disk.ts"
import { makeCursor, NEWLINE, ofMillis, READ_BYTES } from "./logCursor.ts"

const POLL = "100 millis"
/** Somebody waits for what was typed to appear. */
const SCREEN_POLL = "30 millis"

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
    },
    close: async () => {
      for (const cursor of cursors) await cursor.close()
    }
  }
}

const attempt = <A>(step: () => A | Promise<A>): Effect.Effect<A, RuntimeError> =>
  Effect.tryPromise({
    try: async () => step(),
    catch: (cause) => unavailable(`the log cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`)
  })

/** Whether nothing more will be written. */
type Ended = Effect.Effect<boolean, RuntimeError>

const closed = (close: () => Promise<void>) => Effect.addFinalizer(() => Effect.ignore(attempt(close)))

/** What comes until `ended`, which is looked at before the last read: what is written after the look is not missed. */
const untilEnded = <A>(
  next: Effect.Effect<A | undefined, RuntimeError>,
  over: { now: boolean },
  ended: Ended,
  poll: Duration.Input
): Stream.Stream<A, RuntimeError> => {
  const step: Effect.Effect<A | undefined, RuntimeError> = Effect.flatMap(next, (found) => {
    if (found !== undefined || over.now) return Effect.succeed(found)
    return Effect.flatMap(ended, (last) =>
      Effect.andThen(
        last ? Effect.void : Effect.sleep(poll),
        Effect.suspend(() => {
          over.now = last
          return step
        })
      ))
  })
  return Stream.fromEffectRepeat(step).pipe(Stream.takeWhile((found) => found !== undefined))
}

/** What a terminal shows from now on: not by lines, a prompt has no end of line. */
export const readScreen = (folder: string, ended: Ended): Stream.Stream<Uint8Array, RuntimeError> =>
  Stream.unwrap(Effect.gen(function*() {
    const over = { now: yield* ended }
    const cursor = makeCursor(folder, "stdout", () => over.now)
    yield* closed(cursor.close)
    yield* attempt(cursor.skipToEnd)
    return untilEnded(attempt(cursor.nextBytes), over, ended, SCREEN_POLL)
  }))

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

const countLines = (folder: string) =>
  Effect.scoped(Effect.gen(function*() {
    const reader = makeReader(folder, () => true)
    yield* closed(reader.close)
    return yield* attempt(async () => {
      let lines = 0
      let open = false
      for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
        open = chunk.bytes.at(-1) !== NEWLINE
        if (!open) lines += 1
      }
      return lines + (open ? 1 : 0)
    })
  }))

/** `fromNow` skips what is there. */
export const readLogs = (
  folder: string,
  query: LogQuery,
  ended: Ended,
  fromNow = false
): Stream.Stream<LogChunk, RuntimeError> =>
  Stream.unwrap(Effect.gen(function*() {
    const { tail } = query
    const skip = tail === undefined ? 0 : Math.max(0, (yield* countLines(folder)) - tail)
    const over = { now: query.follow ? yield* ended : true }
    const reader = makeReader(folder, () => over.now)
    yield* closed(reader.close)
    if (fromNow) yield* attempt(reader.skipToEnd)
    const since = query.since === undefined ? "" : ofMillis(query.since)
    let line = 0
    const some = Effect.map(attempt(() => readMany(reader.next)), (chunks) => chunks.length > 0 ? chunks : undefined)
    return untilEnded(some, over, ended, POLL).pipe(
      Stream.flattenIterable,
      Stream.filter((chunk) => {
        const shown = line >= skip
        if (chunk.bytes.at(-1) === NEWLINE) line += 1
        return shown && chunk.time >= since
      })
    )
  }))
