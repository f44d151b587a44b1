/** `npm run simulate -- [--seeds N] [--seed S] [--workers W] [--size NAME] [--profile NAME] [--json] [--story N]`: storms over the cores. */
import { Effect } from "effect"
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { Coverage } from "./coverage.ts"
import { overWorkers, type Report } from "./overWorkers.ts"
import { profiles } from "./profiles.ts"
import { isSize, sizes } from "./sizes.ts"

const { values } = parseArgs({
  options: {
    seeds: { type: "string" },
    seed: { type: "string" },
    workers: { type: "string", default: String(availableParallelism()) },
    size: { type: "string" },
    profile: { type: "string" },
    json: { type: "boolean", default: false },
    story: { type: "string" },
    logs: { type: "boolean", default: false }
  }
})

const say = (text: string) => void process.stderr.write(`${text}\n`)
const refuse = (why: string): never => {
  say(why)
  process.exit(2)
}

const { profile, size } = values
if (profile !== undefined && !Object.hasOwn(profiles, profile)) {
  refuse(`there is no profile ${profile}; there are ${Object.keys(profiles).join(", ")}`)
}
if (size !== undefined && !isSize(size)) refuse(`there is no size ${size}; there are ${Object.keys(sizes).join(", ")}`)
const wholeNumber = (name: "seed" | "seeds" | "workers" | "story", least: number, fallback: number): number => {
  const given = values[name]
  const number = Number(given ?? fallback)
  return Number.isSafeInteger(number) && number >= least
    ? number
    : refuse(`--${name} takes a whole number, not ${given}`)
}
const first = wholeNumber("seed", 0, 1)
const count = wholeNumber("seeds", 1, values.seed === undefined ? 100 : 1)
const workers = wholeNumber("workers", 1, 1)
const lines = wholeNumber("story", 0, 60)
const told = values.seed !== undefined && count === 1

/** The last lines of each actor before the end, and where to look for more. */
const tell = ({ failure, profile: weathered, seed, story }: Report) => {
  const left = new Map<string, number>()
  const shown = story.toReversed().filter((line) => {
    const actor = line.split(" ")[1] ?? ""
    const room = left.get(actor) ?? lines
    left.set(actor, room - 1)
    return room > 0
  }).toReversed()
  if (shown.length > 0) say(shown.join("\n"))
  if (failure === null) return
  const asked = `--profile ${weathered ?? profile ?? ""}${size === undefined ? "" : ` --size ${size}`}`
  say(`\nseed ${seed} fails:\n${failure}\nagain: npm run simulate -- --seed ${seed} ${asked}\n`)
}

const began = performance.now()
const passed: Array<string> = []
const failed: Array<string> = []
let virtual = 0
let cpu = 0
let spoke = began
const progress = () =>
  `${passed.length + failed.length}/${count} seeds, ${failed.length} failed, ${
    ((performance.now() - began) / 1000).toFixed(0)
  } s for ${(virtual / 3600).toFixed(1)} virtual hours, ${
    (cpu / Math.max(1, passed.length + failed.length)).toFixed(0)
  } ms of CPU a seed`

const coverage = new Coverage()
const heard = (report: Report) => {
  coverage.add(report)
  virtual += report.virtualSeconds
  cpu += report.cpuMillis
  const name = `seed ${report.seed}`
  if (report.failure === null) passed.push(name)
  else failed.push(name)
  if (report.failure !== null || (told && values.story !== undefined)) tell(report)
  if (told) say(`${name}, ${report.size}: ${report.story.length} lines, hash ${report.hash}`)
  if (performance.now() - spoke > 5000) {
    spoke = performance.now()
    say(progress())
  }
}

await Effect.runPromise(overWorkers(
  {
    first,
    count,
    workers,
    told,
    options: {
      logs: values.logs,
      ...(profile === undefined ? {} : { profile }),
      ...(size !== undefined && isSize(size) ? { size } : {})
    }
  },
  heard
))
say(progress())
const { gaps, lines: table } = coverage.summary()
if (count > 1) say(table.join("\n"))
if (gaps.length > 0) say(`nothing was proven about: ${gaps.join("; ")}`)
say(
  failed.length === 0
    ? `all ${count} storms passed`
    : `${failed.length} of ${count} storms failed: ${failed.join(", ")}`
)
console.log(
  JSON.stringify(
    values.json ? { passed, failed, skipped: {} } : { passed: passed.length, failed: failed.length, skipped: 0 }
  )
)
process.exitCode = failed.length === 0 && gaps.length === 0 ? 0 : 1
