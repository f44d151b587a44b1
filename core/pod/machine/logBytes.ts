/** Log chunks as `kubectl logs` wants to see them: with times before each new line, cut after so many bytes. */
import { Stream } from "effect"
import type { LogChunk } from "../ContainerRuntime.ts"

const utf8 = new TextEncoder()
const newline = 10

const joined = (first: Uint8Array, second: Uint8Array): Uint8Array => {
  const both = new Uint8Array(first.length + second.length)
  both.set(first)
  both.set(second, first.length)
  return both
}

/** A line that comes in several pieces has one time; standard output and error are lines of their own. */
export const withTimes = <E, R>(chunks: Stream.Stream<LogChunk, E, R>): Stream.Stream<Uint8Array, E, R> =>
  Stream.mapAccum(
    chunks,
    (): Readonly<Record<LogChunk["stream"], boolean>> => ({ stdout: true, stderr: true }),
    (fresh, { bytes, stream, time }) => {
      const ended = bytes.at(-1) === newline
      const shown = fresh[stream] && bytes.length > 0 ? joined(utf8.encode(`${time} `), bytes) : bytes
      return [{ ...fresh, [stream]: bytes.length === 0 ? fresh[stream] : ended }, [shown]] as const
    }
  )

/** Ends after exactly `limit` bytes, in the middle of a line if need be. */
export const limited = <E, R>(bytes: Stream.Stream<Uint8Array, E, R>, limit: number): Stream.Stream<Uint8Array, E, R> =>
  bytes.pipe(
    Stream.mapAccum(() => limit, (left, piece: Uint8Array) => {
      const kept = piece.subarray(0, Math.max(0, left))
      return [left - kept.length, [{ kept, full: left - kept.length <= 0 }]] as const
    }),
    Stream.takeUntil(({ full }) => full),
    Stream.map(({ kept }) => kept)
  )
