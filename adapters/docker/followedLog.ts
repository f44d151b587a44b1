/**
 * What docker gets wrong for who follows a log while that is rotated: it tells some of the newest messages again, and may end with the
 * container before it has told the last ones. Messages are known by their times, which are in nanoseconds and grow within a stream.
 */
import type { LogChunk } from "../../core/pod/ContainerRuntime.ts"

/** Times kept of each stream; what is told again from before them is told twice. */
const KEPT = 16_384

/** Its time of day in nanoseconds, digits as they stand; fits a double exactly. */
const stampOf = (time: string): number =>
  Number(time.slice(11, 13) + time.slice(14, 16) + time.slice(17, 19) + time.slice(20, 29))

const makeMemory = () => {
  // Grows with what is told, so that short logs cost little.
  let stamps = new Float64Array(256)
  let count = 0
  let newest = ""
  let repeating = false
  return {
    newest: () => newest,
    isRepeat: (time: string): boolean => {
      if (time > newest) {
        repeating = false
        newest = time
        if (count === stamps.length && count < KEPT) {
          const larger = new Float64Array(Math.min(KEPT, count * 4))
          larger.set(stamps)
          stamps = larger
        }
        stamps[count % stamps.length] = stampOf(time)
        count += 1
        return false
      }
      // The pieces of a long line have one time.
      if (time === newest) return repeating
      // A clock that was set back makes no repeats: only times that were told before do.
      const known = repeating || stamps.subarray(0, Math.min(count, stamps.length)).includes(stampOf(time))
      if (known) repeating = true
      return known
    }
  }
}

/** `1763733600.000000001`, as docker takes it. */
const secondsOf = (time: string): string => `${Math.floor(Date.parse(time) / 1000)}.${time.slice(20, 29)}`

export interface FollowedLog {
  /** Whether a message is told for the second time; to be asked of each in turn. */
  readonly isRepeat: (chunk: LogChunk) => boolean
  /** From where to ask again when docker says that this was all; nothing where it has told nothing. */
  readonly since: () => string | undefined
  /** Whether a message of that second answer was not told before. */
  readonly isMissing: (chunk: LogChunk) => boolean
}

export const makeFollowedLog = (): FollowedLog => {
  const memories = { stdout: makeMemory(), stderr: makeMemory() }
  let began = ""
  return {
    isRepeat: ({ stream, time }) => {
      if (began === "") began = time
      return memories[stream].isRepeat(time)
    },
    since: () => {
      const [first = "", second = ""] = Object.values(memories).map(({ newest }) => newest() === "" ? began : newest())
      const earlier = first < second ? first : second
      return earlier === "" ? undefined : secondsOf(earlier)
    },
    isMissing: ({ stream, time }) => time > memories[stream].newest()
  }
}
