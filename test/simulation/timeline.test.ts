import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { createContext, runInContext } from "node:vm"
import { storm } from "./storm.ts"
import { lanesOf, timeline, type Told } from "./timeline.ts"
import type { TraceEvent } from "./trace.ts"

const event = (at: number, actor: string, text: string, kind: TraceEvent["kind"] = "note"): TraceEvent => ({
  at,
  actor,
  kind,
  text
})

const few: ReadonlyArray<TraceEvent> = [
  event(0, "edge-1/link", "#1 dialed"),
  event(1, "api", "ADDED pods pod-1 7 Pending []"),
  event(2, "storm", "#1 badLink at edge-1", "began"),
  event(3, "storm", "#2 reboot at edge-1", "began"),
  { ...event(3, "edge-1/runs", "pod-1 (ab12)/main#0 runs", "run"), until: 5 },
  event(4, "api", "MODIFIED pods pod-1 8 Running [\"main#0 running\"]"),
  event(5, "storm", "#1 badLink at edge-1 is over", "ended"),
  event(5, "edge-1/runs", "pod-1 (ab12)/main#0 ends with exit code 1"),
  event(6, "edge-1/runs", "pod-1 (ab12)/main#1 runs", "run"),
  event(7, "edge-1/link", "#1 the device hung up"),
  event(8, "VIOLATION", "</script><b>&", "violation"),
  event(9, "api", "DELETED pods pod-1 9 Running []")
]

const told = (events: ReadonlyArray<TraceEvent>): Told => ({
  seed: 7,
  hash: "abc",
  failure: "</script><b>&",
  summary: "1 device",
  again: "npm run simulate -- --seed 7",
  events
})

/** Everything that a page may ask of its elements, and none of what it shows. */
const element = (): object => {
  const values: Record<PropertyKey, unknown> = { style: {}, dataset: {}, clientWidth: 900, scrollTop: 0 }
  const self: object = new Proxy(function() {}, {
    get: (_, name) => name in values ? values[name] : name === Symbol.toPrimitive ? () => 0 : self,
    set: (_, name, value) => {
      values[name] = value
      return true
    },
    apply: () => self
  })
  return self
}

/** Runs the script of a page in a browser that is hardly one; what it says of itself in the end. */
const ran = (page: string): unknown => {
  const script = /<script>\n(.*)<\/script>/s.exec(page)?.[1] ?? ""
  const state: Record<string, string> = {}
  const text = { getPropertyValue: () => "#000" }
  const document = {
    documentElement: { dataset: state },
    getElementById: element,
    createElement: element,
    addEventListener: () => {}
  }
  const window = { addEventListener: () => {}, devicePixelRatio: 1, innerWidth: 1000, innerHeight: 800 }
  runInContext(
    script,
    createContext({
      document,
      window,
      getComputedStyle: () => text,
      requestAnimationFrame: (draw: () => void) => draw(),
      matchMedia: element
    })
  )
  return state["state"]
}

const browser = ["/usr/bin/chromium", "/usr/bin/google-chrome"].find((each) => existsSync(each))

describe("the timeline", () => {
  it("has a lane for each actor: faults, connections, pods and processes last from their beginning to their end", () => {
    const lanes = lanesOf(few)
    assert.deepStrictEqual(lanes.map(({ name }) => name), [
      "VIOLATION",
      "storm",
      "faults",
      "api",
      "pods",
      "edge-1/link",
      "edge-1/runs"
    ])
    const spans = (name: string) =>
      lanes.find((lane) => lane.name === name)?.spans
        .map(({ from, label, row, to, tone }) => [row, from, to, label, tone])
        .toSorted()
    assert.deepStrictEqual(spans("faults"), [
      [0, 2, 5, "badLink at edge-1", "fault"],
      [1, 3, 9, "reboot at edge-1", "fault"]
    ])
    assert.deepStrictEqual(spans("edge-1/link"), [[0, 0, 7, "#1", "link"]])
    assert.deepStrictEqual(spans("pods"), [[0, 1, 4, "Pending", "pending"], [0, 4, 9, "Running", "running"]])
    // A restart is a second span in the row of its container.
    assert.deepStrictEqual(spans("edge-1/runs"), [[0, 3, 5, "#0", "failed"], [0, 6, 9, "#1", "running"]])
  })

  it("is one page that asks for nothing else, and what a storm says cannot end its script", () => {
    const page = timeline(told(few))
    assert.strictEqual(page.match(/<\/script>/g)?.length, 1)
    assert.notMatch(page, /https?:|src=|href=|@import|url\(/)
    assert.isBelow(page.length, 40_000)
  })

  it("tells of no events, too", () => {
    assert.strictEqual(ran(timeline(told([]))), "ready: 0 events")
  })

  it.live("shows a whole storm without an error", () =>
    Effect.gen(function*() {
      const { events } = yield* storm({ seed: 3, size: "small" })
      assert.isAbove(events.length, 20)
      assert.strictEqual(ran(timeline(told(events))), `ready: ${events.length} events`)
    }))

  it.skipIf(browser === undefined)(
    `is drawn by a real browser${browser === undefined ? " (skipped: there is no chromium on this machine)" : ""}`,
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "timeline-"))
      try {
        const file = join(folder, "storm.html")
        writeFileSync(file, timeline(told(few)))
        const { stdout } = await promisify(execFile)(browser ?? "", [
          "--headless",
          "--no-sandbox",
          "--disable-gpu",
          `--user-data-dir=${join(folder, "profile")}`,
          "--dump-dom",
          `file://${file}`
        ])
        assert.include(stdout, `data-state="ready: ${few.length} events"`)
        assert.match(stdout, /class="violation chosen"[^>]*>[^<]*VIOLATION/)
      } finally {
        rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
      }
    },
    60_000
  )
})
