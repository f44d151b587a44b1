/** `npm run simulate`: storms over the cores. `--help` says the rest. */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { writeFileSync } from "node:fs"
import { extname } from "node:path"
import { type Arguments, help, readArguments, Refusal } from "./arguments.ts"
import { Coverage } from "./coverage.ts"
import { overWorkers, profileFor } from "./overWorkers.ts"
import { type Plan, planOf, planText, readPlan } from "./plan.ts"
import { makeProgress } from "./progress.ts"
import { shrink } from "./shrink.ts"
import { readable, summary } from "./story.ts"
import { timeline } from "./timeline.ts"
import { makeWorker, type Report } from "./workers.ts"

const began = performance.now()
const seconds = () => (performance.now() - began) / 1000
const { end, say, show } = makeProgress(process.stderr, seconds)

const refuse = (why: string): never => {
  say(why)
  process.exit(2)
}
const asked = (): Arguments => {
  try {
    return readArguments(process.argv.slice(2))
  } catch (error) {
    if (error instanceof Refusal) return refuse(error.message)
    throw error
  }
}

const args = asked()
if (args.help) {
  console.log(help)
  process.exit(0)
}
const { count, lines, mutation, size, trace } = args
const given = args.plan === undefined
  ? undefined
  : await Effect.runPromise(
    readPlan(args.plan).pipe(Effect.catch((error) => Effect.sync(() => refuse(`--plan is no plan: ${error.message}`))))
  )
const first = given?.seed ?? args.first
const told = count === 1
const mistaken = mutation === undefined ? {} : { mutation }

const profileOf = (seed: number) => {
  const profile = profileFor(seed, args.profiles)
  return profile === undefined ? {} : { profile }
}
const planFor = (seed: number): Plan =>
  given ?? planOf({
    seed,
    ...profileOf(seed),
    ...(size === undefined ? {} : { size })
  })

/** The command that does it again. */
const again = (seed: number, plan = given): string =>
  `npm run simulate -- ${
    plan === undefined
      ? `--seed ${seed}${args.profiles.length === 0 ? "" : ` --profile ${profileFor(seed, args.profiles)}`}${
        size === undefined ? "" : ` --size ${size}`
      }`
      : `--plan '${planText(plan)}'`
  }${mutation === undefined ? "" : ` --mutation ${mutation}`}`

/** What went wrong, and where to look for more. */
const tell = (report: Report) => {
  if (args.story || report.size === null || args.shrink === "never") tail(report)
  const { failure, seed } = report
  if (failure !== null) say(`\nseed ${seed} fails:\n${failure}\nagain: ${again(seed)}\n`)
}

/** The last lines of each actor before the end. */
const tail = ({ story }: Report) => {
  const left = new Map<string, number>()
  const shown = story.toReversed().filter((line) => {
    const actor = line.split(" ")[1] ?? ""
    const room = left.get(actor) ?? lines
    left.set(actor, room - 1)
    return room > 0
  }).toReversed()
  if (shown.length > 0) say(shown.join("\n"))
}

const write = (report: Report, plan: Plan, shrunk: boolean) => {
  if (trace === undefined) return
  const kind = extname(trace)
  const { events, failure, hash, seed } = report
  const text = kind === ".html"
    ? timeline({ seed, hash, failure, events, again: again(seed, shrunk ? plan : given), summary: summary(plan) })
    : kind === ".json"
    ? `${JSON.stringify({ seed, hash, failure, plan, events }, null, 1)}\n`
    : events.map((event) => `${JSON.stringify(event)}\n`).join("")
  try {
    writeFileSync(trace, text)
  } catch (error) {
    refuse(`the trace cannot be written: ${error instanceof Error ? error.message : String(error)}`)
  }
  say(`what happened in seed ${seed}, ${events.length} events: ${trace}`)
}

/** Says what is left of a failing storm; its report and plan. */
const shrunken = (report: Report) =>
  Effect.gen(function*() {
    const plan = planFor(report.seed)
    say(`seed ${report.seed} is made smaller, for ${args.shrinkSeconds} s at most: ${summary(plan)}`)
    const workers = yield* Effect.all(Array.from({ length: args.workers }, () => makeWorker(mistaken)))
    const found = yield* shrink({
      plan,
      outcome: report,
      play: (each, lane) => workers[lane]!({ seed: each.seed, plan: each, told: false }),
      atOnce: workers.length,
      time: `${args.shrinkSeconds} seconds`
    })
    say(
      `after ${found.runs} storms${found.done ? "" : " there was no more time, and"} this is left: ${
        summary(found.plan)
      }\n`
    )
    say(readable(found.outcome.events).join("\n"))
    say(`\n${found.outcome.failure}\nagain: ${again(report.seed, found.plan)}\n`)
    return found
  }).pipe(Effect.scoped)

const passed: Array<string> = []
const failed: Array<string> = []
const wrong: Array<Report> = []
const hashes = new Map<number, string>()
let deviceSeconds = 0
let cpuMillis = 0
let only: Report | undefined
const counted = () => ({
  total: count,
  done: passed.length + failed.length,
  failed: failed.length,
  deviceSeconds,
  cpuMillis,
  seconds: seconds()
})

const coverage = new Coverage()
const heard = (report: Report) => {
  // What a mistake was found with, or a plan, promises nothing.
  if (mutation === undefined && given === undefined) coverage.add(report)
  deviceSeconds += report.deviceSeconds
  cpuMillis += report.cpuMillis
  const name = `seed ${report.seed}`
  hashes.set(report.seed, report.hash)
  ;(report.failure === null ? passed : failed).push(name)
  if (report.failure !== null && (wrong.length === 0 || args.shrink === "always")) wrong.push(report)
  if (report.failure !== null || (told && args.story)) tell(report)
  if (told) {
    only = report
    say(
      `${name}, ${
        given === undefined ? `${report.size}, ${report.profile}` : "as planned"
      }: ${report.story.length} lines, hash ${report.hash}`
    )
  }
  if (passed.length + failed.length < count) show(counted())
}

/** The same for the same seeds, whichever workers had them and whoever was first. */
const hashOfAll = () => {
  const all = createHash("sha256")
  for (const [, hash] of [...hashes].sort(([a], [b]) => a - b)) all.update(hash)
  return all.digest("hex")
}

process.once("SIGINT", () => {
  end(counted())
  process.exit(130)
})

await Effect.runPromise(overWorkers(
  {
    first,
    count,
    workers: args.workers,
    told,
    ...mistaken,
    profiles: args.profiles,
    options: {
      logs: args.logs,
      ...(given === undefined ? {} : { plan: given }),
      ...(size === undefined ? {} : { size })
    }
  },
  heard
))
end(counted())

let shown = only ?? wrong[0]
let shrunk = false
let shownPlan = planFor(shown?.seed ?? first)
for (const [i, report] of (args.shrink === "never" ? [] : wrong).entries()) {
  if (report.size === null) {
    say(`seed ${report.seed} is not made smaller: it cost its worker, which left no story to compare`)
    continue
  }
  const found = await Effect.runPromise(shrunken(report))
  if (i > 0 || args.shrink !== "always") continue
  shrunk = true
  shown = found.outcome
  shownPlan = found.plan
}
if (shown !== undefined) write(shown, shownPlan, shrunk)

const { gaps, lines: table } = coverage.summary()
if (count > 1 && table.length > 0) say(table.join("\n"))
if (gaps.length > 0) say(`nothing was proven about: ${gaps.join("; ")}`)
if (count > 1) say(`hash of all ${hashes.size} stories ${hashOfAll()}`)
say(
  failed.length === 0
    ? `all ${count} storms passed`
    : `${failed.length} of ${count} storms failed: ${failed.join(", ")}`
)
console.log(
  JSON.stringify(
    args.json ? { passed, failed, skipped: {} } : { passed: passed.length, failed: failed.length, skipped: 0 }
  )
)
process.exitCode = failed.length === 0 && gaps.length === 0 ? 0 : 1
