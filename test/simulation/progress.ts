/** How far a run of storms is: a bar on a terminal, a line now and then elsewhere. */

export interface Count {
  readonly total: number
  readonly done: number
  readonly failed: number
  readonly deviceSeconds: number
  readonly cpuMillis: number
  /** Seconds of the real clock since the run began. */
  readonly seconds: number
}

const span = (seconds: number): string => {
  if (!Number.isFinite(seconds)) return "?"
  const whole = Math.round(seconds)
  return whole < 60 ? `${whole} s` : whole < 3600
    ? `${Math.floor(whole / 60)} min ${whole % 60} s`
    : `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}

const figures = ({ deviceSeconds, done, failed, seconds, total }: Count): string => {
  const rate = done / Math.max(seconds, 0.001)
  const left = done === 0 ? Infinity : (total - done) / rate
  return `${done}/${total} seeds, ${failed} failed, ${rate.toFixed(1)} a second, ${
    (deviceSeconds / 3600).toFixed(1)
  } device-hours${done < total ? `, ${span(left)} left` : ` in ${span(seconds)}`}`
}

export const lineOf = (count: Count): string =>
  `${figures(count)}, ${(count.cpuMillis / Math.max(1, count.done)).toFixed(0)} ms of CPU a seed`

/** Fits into `columns`; what does not is left out from the end. */
export const barOf = (count: Count, columns: number): string => {
  const words = figures(count)
  const room = Math.min(30, columns - words.length - 4)
  if (room < 5) return words.slice(0, Math.max(0, columns - 1))
  const filled = Math.floor((count.done / count.total) * room)
  return `[${"█".repeat(filled)}${"░".repeat(room - filled)}] ${words}`
}

export interface Screen {
  readonly isTTY?: boolean
  /** Zero where it is not known. */
  readonly columns?: number
  readonly write: (text: string) => unknown
}

/** Writes onto `screen`; `seconds` is the real clock. A bar is drawn ten times a second at most, a line every five seconds. */
export const makeProgress = (screen: Screen, seconds: () => number) => {
  const terminal = screen.isTTY === true
  const pause = terminal ? 0.1 : 5
  let spoke = terminal ? -Infinity : seconds()
  let drawn = false
  const clear = () => {
    if (drawn) screen.write("\r\u001b[2K")
    drawn = false
  }
  return {
    /** A line of text, above the bar if there is one. */
    say: (text: string) => {
      clear()
      screen.write(`${text}\n`)
    },
    show: (count: Count) => {
      if (seconds() - spoke < pause) return
      spoke = seconds()
      if (!terminal) return void screen.write(`${lineOf(count)}\n`)
      screen.write(`\r\u001b[2K${barOf(count, screen.columns || 80)}`)
      drawn = true
    },
    end: (count: Count) => {
      clear()
      screen.write(`${lineOf(count)}\n`)
    }
  }
}
