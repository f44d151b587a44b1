/** A storm as a person reads it: in order, by actor, without what does not matter to what went wrong. */
import type { Plan } from "./plan.ts"
import { clockOf, type TraceEvent } from "./trace.ts"

/** Questions to an engine change nothing. */
const asks = /^(containers|sandboxes|info|images?|logs|stats) /

/** Names of the pods that violations speak of. */
const podsIn = (violations: ReadonlyArray<TraceEvent>): ReadonlySet<string> =>
  new Set(violations.flatMap(({ text }) => text.match(/\bpod-[0-9]+\b/g) ?? []))

const about = (text: string, pods: ReadonlySet<string>): boolean => {
  const named = text.match(/\bpod-[0-9]+\b/g)
  return named === null || pods.size === 0 || named.some((name) => pods.has(name))
}

const matters = ({ actor, kind, text }: TraceEvent, pods: ReadonlySet<string>): boolean => {
  if (actor === "storm" || kind === "violation") return true
  if (actor === "api") return !text.startsWith("MODIFIED nodes") && !text.includes("edgedevices") && about(text, pods)
  if (actor.endsWith("/engine")) return !asks.test(text) && about(text, pods)
  if (actor.endsWith("/journal")) return /\((Full|Broken)\)|wipe|(put|remove) (assignments|attempts)/.test(text)
  return about(text, pods)
}

/** The lines until the last violation, at most `most` of them; what an actor says again and again is said once, and how often. */
export const readable = (events: ReadonlyArray<TraceEvent>, most = 150): ReadonlyArray<string> => {
  const pods = podsIn(events.filter(({ kind }) => kind === "violation"))
  const lines: Array<{ readonly event: TraceEvent; times: number }> = []
  const latest = new Map<string, (typeof lines)[number]>()
  const end = events.findLastIndex(({ kind }) => kind === "violation")
  for (const event of end < 0 ? events : events.slice(0, end + 1)) {
    if (!matters(event, pods)) continue
    const before = latest.get(event.actor)
    if (before?.event.text === event.text) {
      before.times += 1
      continue
    }
    const line = { event, times: 1 }
    latest.set(event.actor, line)
    lines.push(line)
  }
  const width = Math.max(0, ...lines.map(({ event }) => event.actor.length))
  const shown = lines.length <= most
    ? lines
    : [...lines.slice(0, most / 3), ...lines.slice(lines.length - most * 2 / 3)]
  const told = shown.map(({ event: { actor, at, text }, times }) =>
    `${clockOf(at).padStart(10)}  ${actor.padEnd(width)}  ${text}${times > 1 ? `  (${times} times)` : ""}`
  )
  if (shown.length < lines.length) {
    told.splice(Math.floor(most / 3), 0, `${"…".padStart(10)}  ${lines.length - shown.length} lines more`)
  }
  return told
}

const seconds = (millis: number) => `${Math.round(millis / 100) / 10} s`

/** One sentence: what a storm consists of. */
export const summary = ({ deeds, devices, lasts }: Plan): string =>
  `${devices.length} ${devices.length === 1 ? "device" : "devices"}, ${seconds(lasts)}, ${deeds.length} ${
    deeds.length === 1 ? "deed" : "deeds"
  }${deeds.length > 12 ? "" : `: ${deeds.map(({ at, what }) => `${what} at ${seconds(at)}`).join(", ")}`}`
