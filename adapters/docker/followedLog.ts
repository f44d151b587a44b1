/**
 * Follows a log that docker rotates. Docker's own following tells messages again, leaves some out or ends too early when the file
 * changes, so it is only the bell: what is new is read from the end of the log, back to the message that was told last.
 */
import { type Duration, Effect, Queue, Stream } from "effect"
import type { LogChunk, LogQuery, Output, RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import { unavailable } from "./DockerClient.ts"

export interface EngineLog {
  /** How many messages docker tells of while it follows from now on; it may tell too few. */
  readonly bell: Stream.Stream<number, RuntimeError>
  /** What is there now, in the order of the file; all of it unless `tail` messages from the end are enough. */
  readonly read: (query: { readonly tail?: number; readonly since?: number }) => Stream.Stream<LogChunk, RuntimeError>
  /** Fails where the container was removed. */
  readonly runs: Effect.Effect<boolean, RuntimeError>
}

const NEWLINE = 10
/** More than docker told of: writing goes on meanwhile. */
const SPARE = 64
/** Where a message was found to be missing, this many times more are asked for. */
const FURTHER = 8
/** What docker does not tell of is found after this. */
const LOOK_EVERY: Duration.Input = "5 seconds"
const BELL_AGAIN: Duration.Input = "200 millis"

/** About how many messages there are in bytes of docker's; rather too many. */
export const linesIn = (bytes: Uint8Array): number => {
  let lines = 1
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) lines += 1
  return lines
}

/** Messages have no number: one is known by its stream, its time, and how many of that time came before it. */
const makePlace = () => {
  let newest: { readonly stdout: Told; readonly stderr: Told } = { stdout: never, stderr: never }
  let last: Output["stream"] | undefined
  return {
    /** This is where the log ends now; what is there is not told. */
    mark: ({ stream, time }: LogChunk) => {
      newest = { ...newest, [stream]: { time, count: Infinity } }
      last = stream
    },
    told: ({ stream, time }: LogChunk) => {
      // The pieces of a long line have one time.
      const { count, time: before } = newest[stream]
      newest = { ...newest, [stream]: { time, count: before === time && Number.isFinite(count) ? count + 1 : 1 } }
      last = stream
    },
    /** Tells of each message in turn whether it comes after the place; all do where there is none yet. */
    after: () => {
      const stream = last
      const { count, time } = stream === undefined ? never : newest[stream]
      let seen = 0
      let found = stream === undefined
      return {
        found: () => found,
        isNew: (chunk: LogChunk): boolean => {
          if (chunk.stream !== stream || chunk.time !== time) return found
          seen += 1
          if (seen > count) return true
          found = seen === count || count === Infinity
          return false
        }
      }
    }
  }
}

interface Told {
  readonly time: string
  readonly count: number
}
const never: Told = { time: "", count: 0 }

const tooFast = unavailable(
  "the log is written faster than it is read, and what comes next was dropped by rotation: ask for it again"
)

export const followedLog = (
  { bell, read, runs }: EngineLog,
  { since, tail }: Omit<LogQuery, "follow">
): Stream.Stream<LogChunk, RuntimeError> =>
  Stream.unwrap(Effect.gen(function*() {
    const scope = yield* Effect.scope
    const rings = yield* Queue.sliding<void>(1)
    const place = makePlace()
    let rung = 0
    let silent = false
    let broken: RuntimeError | undefined
    let phase: "new" | "following" | "ended" = "new"

    const ring = Effect.suspend(() => Queue.offer(rings, undefined))
    const listen = Stream.runForEach(bell, (count) => {
      rung += count
      return ring
    }).pipe(
      Effect.catch((error) => Effect.sync(() => void (broken = error))),
      Effect.andThen(Effect.suspend(() => {
        silent = true
        return ring
      }))
    )
    yield* Effect.forkScoped(listen)

    const telling = Stream.mapArray((chunks: readonly [LogChunk, ...ReadonlyArray<LogChunk>]) => {
      for (const chunk of chunks) place.told(chunk)
      return chunks
    })
    const shown = (chunk: LogChunk) => since === undefined || Date.parse(chunk.time) >= since

    /** What came after the place, looked for among so many messages from the end, or among all. */
    const news = (messages?: number): Stream.Stream<LogChunk, RuntimeError> =>
      Stream.suspend(() => {
        const { found, isNew } = place.after()
        let received = 0
        const query = messages === undefined || found() ? {} : { tail: messages }
        const fresh = Stream.filter(read(query), (chunk) => {
          received += 1
          return isNew(chunk)
        })
        const further = Stream.suspend(() => {
          if (found()) return Stream.empty
          if (messages === undefined) return Stream.fail(tooFast)
          return received < messages ? news() : news(messages * FURTHER)
        })
        return Stream.concat(telling(fresh), further)
      })

    const begin = Stream.suspend(() => {
      const end = Stream.drain(Stream.tap(read({ tail: 1 }), (chunk) => Effect.sync(() => place.mark(chunk))))
      const first = { ...(tail === undefined ? {} : { tail }), ...(since === undefined ? {} : { since }) }
      return tail === 0 ? end : Stream.concat(end, telling(read(first)))
    })

    const turn = Effect.gen(function*() {
      if (phase === "ended") return undefined
      if (phase === "new") {
        phase = "following"
        return begin
      }
      yield* Effect.timeoutOption(Queue.take(rings), LOOK_EVERY)
      if (broken !== undefined) return yield* broken
      if (silent) {
        silent = false
        if (yield* runs) yield* Effect.forkIn(Effect.delay(listen, BELL_AGAIN), scope)
        else phase = "ended"
      }
      const messages = rung + SPARE
      rung = 0
      return Stream.filter(news(messages), shown)
    })
    return Stream.fromEffectRepeat(turn).pipe(
      Stream.takeWhile((some) => some !== undefined),
      Stream.flatten()
    )
  }))
