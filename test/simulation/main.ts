/** `npm run simulate -- [--seeds N] [--seed S] [--profile NAME] [--json] [--story N]`: storms, one seed after another. */
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { profiles } from "./faults.ts"
import { storm, type StormResult } from "./storm.ts"

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    seed: { type: "string" },
    profile: { type: "string", default: "everything" },
    json: { type: "boolean", default: false },
    story: { type: "string", default: "60" },
    logs: { type: "boolean", default: false }
  }
})

const say = (text: string) => void process.stderr.write(`${text}\n`)

if (profiles[values.profile] === undefined) {
  say(`there is no profile ${values.profile}; there are ${Object.keys(profiles).join(", ")}`)
  process.exit(2)
}
const first = Number(values.seed ?? 1)
const count = values.seed === undefined || process.argv.includes("--seeds") ? Number(values.seeds) : 1
if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count) || count < 1) {
  say("--seed and --seeds take whole numbers")
  process.exit(2)
}

/** The last lines of each actor before the end, and where to look for more. */
const tell = ({ failure, seed, story }: StormResult) => {
  const most = Number(values.story)
  const left = new Map<string, number>()
  const shown = story.toReversed().filter((line) => {
    const actor = line.split(" ")[1] ?? ""
    const room = left.get(actor) ?? most
    left.set(actor, room - 1)
    return room > 0
  }).toReversed()
  if (most > 0) say(shown.join("\n"))
  say(`\nseed ${seed} fails:\n${failure}`)
  say(`again: npm run simulate -- --seed ${seed} --profile ${values.profile}\n`)
}

const began = performance.now()
const failed: Array<number> = []
let passed = 0
let virtual = 0
for (let seed = first; seed < first + count; seed++) {
  const result = await Effect.runPromise(storm({ seed, profile: values.profile, logs: values.logs }))
  virtual += result.virtualSeconds
  if (result.failure === undefined) passed += 1
  else {
    failed.push(seed)
    tell(result)
  }
  if (count > 1 && (seed - first + 1) % 25 === 0) {
    const elapsed = (performance.now() - began) / 1000
    say(
      `${passed + failed.length}/${count} seeds, ${failed.length} failed, ${elapsed.toFixed(0)} s for ${
        (virtual / 3600).toFixed(1)
      } virtual hours`
    )
  }
}
say(
  failed.length === 0
    ? `${passed} storms passed in ${((performance.now() - began) / 1000).toFixed(1)} s, ${
      (virtual / 3600).toFixed(1)
    } virtual hours`
    : `${failed.length} of ${count} storms failed: ${failed.join(" ")}`
)
console.log(JSON.stringify({ passed, failed: failed.length, skipped: 0, ...(values.json ? { seeds: failed } : {}) }))
process.exitCode = failed.length === 0 ? 0 : 1
