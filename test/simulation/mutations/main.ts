/** npm run mutations: makes each mistake of the table in the product, one at a time, and says how many storms it took to notice. */
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { isSize } from "../sizes.ts"
import { makeWorker, workerDied } from "../workers.ts"
import { type Mutation, mutations } from "./mutations.ts"

const help =
  `Mistakes made in the product on purpose, each in worker processes of its own: storms have to notice every one of them.

  npm run mutations -- [--only NAME]... [--seeds N] [--seed S] [--size NAME] [--workers W] [--json]

  --only NAME    this one; may be given several times
  --seeds N      storms that a mistake may go unnoticed, 1000 unless told
  --seed S       begin with this seed, 1 unless told
  --size NAME    in worlds of this size: small, brief, fleet, large; as drawn unless told
  --workers W    mistakes looked for at the same time, 2 unless told
  --json         the last line: {"passed":[names],"failed":[names],"skipped":{},"found":{name:{"seeds":N,"seed":S,"violation":"..."}}}
  --list         only name them

Example
  npm run mutations -- --only never-resends

Exit code: 0 when all were found, 1 when one was not, 2 when asked for what does not exist.`

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    seeds: { type: "string", default: "1000" },
    seed: { type: "string", default: "1" },
    size: { type: "string" },
    workers: { type: "string", default: "2" },
    json: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
    help: { type: "boolean", default: false }
  }
})
if (values.help) {
  console.log(help)
  process.exit(0)
}
const unknown = (values.only ?? []).filter((name) => !mutations.some((each) => each.name === name))
if (unknown.length > 0) {
  console.error(`there is no mutation ${unknown.join(", ")}: --list names them`)
  process.exit(2)
}
const { size } = values
if (size !== undefined && !isSize(size)) {
  console.error(`there is no size ${size}: small, brief, fleet, large`)
  process.exit(2)
}
if (values.list) {
  for (const { mistake, name } of mutations) console.log(`${name.padEnd(24)} ${mistake}`)
  process.exit(0)
}

interface Found {
  readonly seeds: number
  readonly seed: number
  readonly violation: string
}

const first = Number(values.seed)
const most = Number(values.seeds)
const found = new Map<string, Found>()
const missed: Array<string> = []

const hunt = Effect.fnUntraced(function*({ name, profile }: Mutation) {
  const worker = yield* makeWorker({ mutation: name, limit: "5 minutes" })
  for (let seeds = 1; seeds <= most; seeds++) {
    const seed = first + seeds - 1
    const { failure, size: played } = yield* worker({
      seed,
      told: false,
      ...(profile === undefined ? {} : { profile }),
      ...(size === undefined ? {} : { size })
    })
    if (failure === null) continue
    const violation = failure.split("\n")[0] ?? ""
    // A mistake that cannot be loaded, or a worker that did not come to an end, was noticed by no storm.
    if (violation.startsWith(workerDied) || played === null) {
      missed.push(name)
      return console.log(`${name.padEnd(24)}    -  ${violation}`)
    }
    found.set(name, { seeds, seed, violation })
    return console.log(`${name.padEnd(24)} ${String(seeds).padStart(4)}  ${violation}`)
  }
  missed.push(name)
  console.log(`${name.padEnd(24)}    -  unnoticed by ${most} storms`)
}, Effect.scoped)

await Effect.runPromise(Effect.forEach(
  mutations.filter(({ name }) => values.only?.includes(name) ?? true),
  hunt,
  { concurrency: Number(values.workers), discard: true }
))
if (values.json) {
  const noticed = Object.fromEntries(found)
  console.log(JSON.stringify({ passed: [...found.keys()], failed: missed, skipped: {}, found: noticed }))
}
process.exit(missed.length === 0 ? 0 : 1)
