/** What happened in a storm, one event after another, by actor. */

export interface TraceEvent {
  /** Seconds since the world began. */
  readonly at: number
  /** `storm`, `api`, `operator`, `edge-1/link`, `edge-1/engine`, `edge-1/journal`. */
  readonly actor: string
  /** `began` and `ended` belong together by their text's first word, `#7`; `run` is a process, which lasted until `until`. */
  readonly kind: "note" | "began" | "ended" | "violation" | "run"
  readonly text: string
  /** Of a `run`: when it ended, if it did. */
  readonly until?: number
}

/** Microseconds are fine enough for people and for proofs. */
const shortened = (seconds: number) => Math.round(seconds * 1e6) / 1e6

export const lineOf = ({ actor, at, text }: TraceEvent): string => `${shortened(at)}s ${actor} ${text}`

/** Sorted by time; of one instant in the order in which they were told. */
export const inOrder = (events: ReadonlyArray<TraceEvent>): ReadonlyArray<TraceEvent> =>
  events
    .map((event, order) => ({ event, order }))
    .toSorted((a, b) => a.event.at - b.event.at || a.order - b.order)
    .map(({ event }) => event)

/** `1:02.345`: minutes, seconds and milliseconds. */
export const clockOf = (seconds: number): string => {
  const millis = Math.round(seconds * 1000)
  const left = ((millis % 60_000) / 1000).toFixed(3).padStart(6, "0")
  return `${Math.floor(millis / 60_000)}:${left}`
}
