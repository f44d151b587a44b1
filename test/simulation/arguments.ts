/** What `npm run simulate` was asked for. What makes no sense is refused with one sentence. */
import { existsSync, readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { extname } from "node:path"
import { parseArgs } from "node:util"
import { mutations } from "./mutations/mutations.ts"
import { profiles } from "./profiles.ts"
import { isSize, type SizeName, sizes } from "./sizes.ts"

export const help = `Storms over a simulated fleet, in virtual time.

  npm run simulate -- [--seeds N] [--seed S] [options]

  --seeds N         so many seeds, 100 unless told (one with --seed)
  --seed S          begin with this seed, 1 unless told
  --profile NAME    which faults: ${Object.keys(profiles).join(", ")};
                    several (--profile link --profile cloud) take turns; each seed has its own unless told
  --size NAME       only worlds of this size: ${Object.keys(sizes).join(", ")}
  --workers W       worker processes, ${availableParallelism()} unless told
  --plan PLAN       play a plan, as a failure printed it, instead of a seed; the text itself, or the name of a file
  --trace FILE      write what happened: .html a timeline to look at, .json or .jsonl events; of the seed, or of the first that fails
  --shrink          reduce a failing seed to few deeds, devices and seconds (--trace then writes what is left)
  --no-shrink       do not; without either, the first failing seed of a run is
  --shrink-time S   seconds to shrink at most, 60 unless told
  --mutation NAME   with a mistake in the product, of test/simulation/mutations/mutations.ts
  --story N         the last N lines of each actor of what fails, 60 unless told; of a single seed also when it passes
  --logs            with the programs' own logs
  --json            the last line names every seed
  --help            this

Examples
  npm run simulate -- --seeds 10000
  npm run simulate -- --seeds 200 --profile link --profile cloud
  npm run simulate -- --seed 28 --trace storm.html
  npm run simulate -- --mutation never-resends --profile link --trace storm.html

Exit code: 0 when all storms passed, 1 when one failed or a long run never met what its profiles promise, 2 when asked for what does not exist, 130 when interrupted.`

/** Asked for what does not exist. */
export class Refusal extends Error {
  override readonly name = "Refusal"
}

export interface Arguments {
  readonly first: number
  readonly count: number
  readonly workers: number
  /** None when each seed has its own. */
  readonly profiles: ReadonlyArray<string>
  readonly size: SizeName | undefined
  /** What `--plan` named, read if it is a file. */
  readonly plan: string | undefined
  readonly trace: string | undefined
  readonly shrink: "always" | "once" | "never"
  readonly shrinkSeconds: number
  readonly mutation: string | undefined
  readonly lines: number
  /** Whether the story of a seed that passes is wanted too. */
  readonly story: boolean
  readonly logs: boolean
  readonly json: boolean
  readonly help: boolean
}

const options = {
  seeds: { type: "string" },
  seed: { type: "string" },
  workers: { type: "string" },
  size: { type: "string" },
  profile: { type: "string", multiple: true },
  plan: { type: "string" },
  trace: { type: "string" },
  shrink: { type: "boolean" },
  "no-shrink": { type: "boolean" },
  "shrink-time": { type: "string" },
  mutation: { type: "string" },
  story: { type: "string" },
  logs: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false }
} as const

const parsed = (args: ReadonlyArray<string>) => {
  try {
    return parseArgs({ options, args: [...args] }).values
  } catch (error) {
    throw new Refusal(error instanceof Error ? error.message : String(error))
  }
}

const oneOf = (what: string, name: string, names: ReadonlyArray<string>) => {
  if (!names.includes(name)) throw new Refusal(`there is no ${what} ${name}; there are ${names.join(", ")}`)
  return name
}

/** Throws a `Refusal`. */
export const readArguments = (args: ReadonlyArray<string>): Arguments => {
  const values = parsed(args)
  const wholeNumber = (
    name: "seed" | "seeds" | "workers" | "story" | "shrink-time",
    least: number,
    fallback: number
  ) => {
    const given = values[name]
    const number = given === undefined ? fallback : Number(given.trim() === "" ? Number.NaN : given)
    if (Number.isSafeInteger(number) && number >= least) return number
    throw new Refusal(`--${name} takes a whole number of at least ${least}, not ${given}`)
  }
  const named = (values.profile ?? []).flatMap((each) => each.split(","))
  const { mutation, plan, size, trace } = values
  if (size !== undefined && !isSize(size)) {
    throw new Refusal(`there is no size ${size}; there are ${Object.keys(sizes).join(", ")}`)
  }
  if (trace !== undefined && ![".html", ".json", ".jsonl"].includes(extname(trace))) {
    throw new Refusal(`--trace writes .html, .json and .jsonl, not ${trace}`)
  }
  if (values.shrink === true && values["no-shrink"] === true) throw new Refusal("--shrink or --no-shrink, not both")
  if (plan !== undefined && (values.seed ?? values.seeds) !== undefined) {
    throw new Refusal("--plan is played instead of seeds: give one or the other")
  }
  return {
    first: wholeNumber("seed", 0, 1),
    count: plan !== undefined ? 1 : wholeNumber("seeds", 1, values.seed === undefined ? 100 : 1),
    workers: wholeNumber("workers", 1, availableParallelism()),
    profiles: named.includes("all")
      ? []
      : named.map((name) => oneOf("profile", name, Object.keys(profiles))),
    size,
    plan: plan !== undefined && existsSync(plan) ? readFileSync(plan, "utf8") : plan,
    trace,
    shrink: values.shrink === true ? "always" : values["no-shrink"] === true ? "never" : "once",
    shrinkSeconds: wholeNumber("shrink-time", 1, 60),
    mutation: mutation === undefined ? mutation : oneOf("mutation", mutation, mutations.map(({ name }) => name)),
    lines: wholeNumber("story", 0, 60),
    story: values.story !== undefined,
    logs: values.logs,
    json: values.json,
    help: values.help
  }
}
