/** A storm as one page of HTML that needs nothing else: a lane for each actor over one axis of time. */
import { readFileSync } from "node:fs"
import type { TraceEvent } from "./trace.ts"

export interface Told {
  readonly seed: number
  readonly hash: string
  readonly failure: string | null
  /** What the storm consisted of, in a sentence. */
  readonly summary: string
  /** The command that does it again. */
  readonly again: string
  readonly events: ReadonlyArray<TraceEvent>
}

/** Something that lasts, in one of a lane's rows. `event` is the index of what tells it. */
interface Span {
  readonly from: number
  readonly to: number
  readonly row: number
  readonly tone: string
  readonly label: string
  readonly event: number
}

export interface Lane {
  readonly name: string
  /** Names of its rows; a lane of marks alone has one without a name. */
  readonly rows: ReadonlyArray<string>
  readonly spans: ReadonlyArray<Span>
  /** Indices of events that are told as instants. */
  readonly marks: ReadonlyArray<number>
}

interface Open {
  readonly from: number
  readonly event: number
  readonly label: string
  readonly tone: string
  readonly row: string
}

/** Collects a lane; rows come by name, in the order in which they are first met. */
const makeLane = (name: string, end: number) => {
  const rows: Array<string> = []
  const spans: Array<Span> = []
  const marks: Array<number> = []
  const open = new Map<string, Open>()
  const rowOf = (row: string) => {
    const known = rows.indexOf(row)
    return known >= 0 ? known : rows.push(row) - 1
  }
  const close = (key: string, to: number, tone?: string) => {
    const found = open.get(key)
    open.delete(key)
    if (found !== undefined) spans.push({ ...found, to, row: rowOf(found.row), tone: tone ?? found.tone })
  }
  return {
    marks,
    begin: (key: string, opened: Open) => {
      close(key, opened.from)
      rowOf(opened.row)
      open.set(key, opened)
    },
    close,
    opened: (key: string) => open.get(key),
    finish: (): Lane => {
      for (const key of [...open.keys()]) close(key, end)
      if (rows.length === 0) rows.push("")
      return { name, rows, spans, marks }
    }
  }
}

/** Spans that overlap go into rows of their own, as few as there have to be. */
const packed = (lane: Lane): Lane => {
  const ends: Array<number> = []
  const spans = lane.spans.toSorted((a, b) => a.from - b.from).map((span) => {
    const free = ends.findIndex((end) => end <= span.from)
    const row = free >= 0 ? free : ends.length
    ends[row] = span.to
    return { ...span, row }
  })
  return { ...lane, spans, rows: Array.from({ length: Math.max(1, ends.length) }, () => "") }
}

const firstWord = (text: string) => text.split(" ", 1)[0] ?? ""

const endingTones: Readonly<Record<string, string>> = { "0": "succeeded", "": "ended" }

/** Actors that everybody has come first, then devices with all that is theirs. */
const ranks = ["VIOLATION", "storm", "faults", "api", "pods", "operator", "second"]
const operators = new Set(["operator", "second"])
const devicesParts = ["agent", "link", "engine", "runs", "journal"]
const rankOf = (actor: string): string => {
  const rank = ranks.findIndex((each) => actor === each || (operators.has(each) && actor.startsWith(each)))
  const [device = "", part = ""] = actor.split("/")
  const own = devicesParts.indexOf(part)
  return rank >= 0 ? `0 ${rank} ${actor}` : `1 ${device} ${own < 0 ? devicesParts.length : own} ${part}`
}

/** Events must be in the order of time. */
export const lanesOf = (events: ReadonlyArray<TraceEvent>): ReadonlyArray<Lane> => {
  const end = Math.max(0, ...events.map(({ at, until = at }) => until))
  const lanes = new Map<string, ReturnType<typeof makeLane>>()
  const laneOf = (name: string) => {
    let lane = lanes.get(name)
    if (lane === undefined) lanes.set(name, lane = makeLane(name, end))
    return lane
  }
  for (const [index, { actor, at, kind, text }] of events.entries()) {
    const lane = laneOf(actor)
    if (kind === "run") {
      const key = text.replace(/ runs$/, "")
      const [row = "", attempt = ""] = key.split("#")
      lane.begin(key, { from: at, event: index, label: `#${attempt}`, tone: "running", row })
      continue
    }
    const ending = actor.endsWith("/runs") ? /^(.*) ends(?: with exit code (\S+))?$/.exec(text) : null
    if (ending !== null) {
      const [, key = "", code = ""] = ending
      lane.close(key, at, endingTones[code] ?? "failed")
      continue
    }
    if (kind === "began" || kind === "ended") {
      const place = actor === "storm" ? laneOf("faults") : lane
      const key = firstWord(text)
      if (kind === "ended") place.close(key, at)
      else {
        const label = actor === "storm" ? text.slice(key.length + 1) : key
        place.begin(key, { from: at, event: index, label, tone: actor === "storm" ? "fault" : "life", row: "" })
      }
      if (actor === "storm") lane.marks.push(index)
      continue
    }
    lane.marks.push(index)
    if (actor.endsWith("/link") && /^#[0-9]+ /.test(text)) {
      const key = firstWord(text)
      if (text === `${key} dialed`) lane.begin(key, { from: at, event: index, label: key, tone: "link", row: "" })
      else if (!text.includes("half-open")) lane.close(key, at)
    }
    const pod = actor === "api" ? /^([A-Z]+) pods (\S+) \S+ (\S+)/.exec(text) : null
    if (pod !== null) {
      const [, type, name = "", phase = ""] = pod
      const pods = laneOf("pods")
      const before = pods.opened(name)
      const tone = text.endsWith("(deleting)") ? "deleting" : phase.toLowerCase()
      if (type === "DELETED") pods.close(name, at)
      else if (before === undefined || before.tone !== tone) {
        pods.begin(name, { from: at, event: index, label: tone === "deleting" ? "deleting" : phase, tone, row: name })
      }
    }
  }
  return [...lanes.values()]
    .map((lane) => lane.finish())
    .map((lane) => lane.name === "faults" || lane.name.endsWith("/link") ? packed(lane) : lane)
    .toSorted((a, b) => rankOf(a.name).localeCompare(rankOf(b.name), "en", { numeric: true }))
}

/** Inside a script element nothing may look like its end. */
const embedded = (value: unknown): string => JSON.stringify(value).replaceAll("<", "\\u003c")

export const timeline = (told: Told): string => {
  const page = readFileSync(new URL("./timeline.html", import.meta.url), "utf8")
  const events = told.events.map(({ actor, at, kind, text }) => [at, actor, kind, text])
  return page.replace("null /* told */", () => embedded({ ...told, events, lanes: lanesOf(told.events) }))
}
