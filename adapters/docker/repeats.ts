/**
 * Docker tells some of the newest messages again to who follows a log while that is rotated. They are known by their times: each
 * has its own, in nanoseconds. A clock that was set back makes no repeats: only times that were told before do.
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
  return (time: string): boolean => {
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
    const known = stamps.subarray(0, Math.min(count, stamps.length)).includes(stampOf(time))
    if (known) repeating = true
    return known
  }
}

/** Whether a message is told for the second time; to be asked of each in turn. */
export const makeRepeats = (): (chunk: LogChunk) => boolean => {
  const memories = { stdout: makeMemory(), stderr: makeMemory() }
  return ({ stream, time }) => memories[stream](time)
}
