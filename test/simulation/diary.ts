/** What is written down while a storm goes on, and its reading when all is over. */
import { Effect } from "effect"
import { makeCounts } from "./coverage.ts"
import type { TraceEvent } from "./trace.ts"
import type { SimulatedDevice } from "./World.ts"

export interface Diary {
  readonly events: Array<TraceEvent>
  readonly violations: Array<string>
  readonly coverage: ReturnType<typeof makeCounts>
  /** Whose own diaries are read when all is over, however it ended. */
  devices: ReadonlyArray<SimulatedDevice>
  /** Names of pods by uid. */
  readonly names: Map<string, string>
  /** Told what programs log. */
  heard: (actor: string, text: string) => void
  start: number
  now: number
}

export const emptyDiary = (): Diary => ({
  events: [],
  violations: [],
  coverage: makeCounts(),
  devices: [],
  names: new Map(),
  heard: () => {},
  start: 0,
  now: 0
})

/** What the devices' own diaries hold, whose lines begin with the second they were written in. */
export const devicesTold = ({ devices, names, start }: Diary): ReadonlyArray<TraceEvent> => {
  const since = (millis: number) => Math.round(millis - start) / 1000
  return devices.flatMap((device) => {
    const read = (actor: string, lines: ReadonlyArray<string>) =>
      lines.map((line): TraceEvent => {
        const [stamp = "", ...words] = line.split(" ")
        const at = since(Number(stamp.slice(0, -1)) * 1000)
        return { at, actor: `${device.name}/${actor}`, kind: "note", text: words.join(" ") }
      })
    return [
      ...read("link", Effect.runSync(device.transport.diary)),
      ...read("engine", Effect.runSync(device.runtime.diary)),
      ...read("journal", Effect.runSync(device.journal.stamped)),
      ...Effect.runSync(device.runtime.runs).flatMap(
        ({ attempt, container, exitCode, finishedAt, startedAt, uid }): ReadonlyArray<TraceEvent> => {
          const name = `${names.get(uid) ?? "?"} (${uid.slice(0, 4)})/${container}#${attempt}`
          const begins = {
            at: since(startedAt),
            actor: `${device.name}/runs`,
            kind: "run",
            text: `${name} runs`
          } as const
          if (finishedAt === undefined) return [begins]
          const until = since(finishedAt)
          const ending = `${name} ends${exitCode === undefined ? "" : ` with exit code ${exitCode}`}`
          return [{ ...begins, until }, { ...begins, at: until, kind: "note", text: ending }]
        }
      )
    ]
  })
}
