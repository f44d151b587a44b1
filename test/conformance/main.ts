/** `npm run conformance`: Kubernetes' own node tests, told again, on the shipped programs in virtual time. */
import { Console, Effect, Option, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { runProgram } from "../../apps/shared/runProgram.ts"
import { version } from "../../apps/shared/version.ts"
import { matrix, matrixPath } from "./matrix.ts"
import { type Outcome, runScenario } from "./runScenario.ts"
import type { Scenario } from "./Scenario.ts"
import { scenarios } from "./scenarios.ts"

class ScenariosFailed extends Schema.TaggedError<ScenariosFailed>()("ScenariosFailed", { count: Schema.Number }) {
  override get message() {
    return `${this.count} ${this.count === 1 ? "scenario" : "scenarios"} failed`
  }
}

class NoScenario extends Schema.TaggedError<NoScenario>()("NoScenario", { only: Schema.String }) {
  override get message() {
    return `no scenario has ${JSON.stringify(this.only)} in its name`
  }
}

class PartOfTheMatrix extends Schema.TaggedError<PartOfTheMatrix>()("PartOfTheMatrix", {}) {
  override get message() {
    return "--matrix tells of every scenario: leave --only away"
  }
}

/** What fails may say much of what was seen last. */
const longest = 2000

const line = ({ name, reason, state }: Outcome): string => {
  if (state === "passed") return `passed   ${name}`
  return state === "skipped"
    ? `skipped  ${name}: ${reason}`
    : `FAILED   ${name}\n         ${reason.slice(0, longest)}`
}

const run = Effect.fnUntraced(function*(chosen: ReadonlyArray<Scenario>) {
  const outcomes = new Map<string, Outcome>()
  for (const scenario of chosen) {
    const outcome = yield* runScenario(scenario)
    outcomes.set(scenario.name, outcome)
    yield* Console.log(line(outcome))
  }
  return outcomes
})

const conformance = Effect.fnUntraced(function*(options: {
  readonly only: Option.Option<string>
  readonly json: boolean
  readonly matrix: boolean
}) {
  const only = Option.getOrElse(options.only, () => "")
  if (options.matrix && only !== "") return yield* new PartOfTheMatrix()
  const chosen = scenarios.filter(({ name }) => name.includes(only))
  if (chosen.length === 0) return yield* new NoScenario({ only })
  const outcomes = yield* run(chosen)
  const of = (state: Outcome["state"]) => [...outcomes.values()].filter((each) => each.state === state)
  const [passed, failed, skipped] = [of("passed"), of("failed"), of("skipped")]
  if (options.matrix) {
    const path = fileURLToPath(new URL(`../../${matrixPath}`, import.meta.url))
    yield* Effect.sync(() => writeFileSync(path, matrix(scenarios, outcomes)))
  }
  yield* Console.log(
    `\n${outcomes.size} scenarios: ${passed.length} passed, ${failed.length} failed, ${skipped.length} skipped`
  )
  if (options.json) {
    const names = (all: ReadonlyArray<Outcome>) => all.map(({ name }) => name)
    yield* Console.log(JSON.stringify({
      passed: names(passed),
      failed: names(failed),
      skipped: Object.fromEntries(skipped.map(({ name, reason }) => [name, reason]))
    }))
  }
  if (failed.length > 0) return yield* new ScenariosFailed({ count: failed.length })
})

const command = Command.make("conformance", {
  only: Flag.String("only").pipe(
    Flag.withMetavar("TEXT"),
    Flag.withDescription("Run those with this in their full name"),
    Flag.optional
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription(
      "The last line is one JSON object: names that passed, names that failed, reasons of skipped ones"
    ),
    Flag.withDefault(false)
  ),
  matrix: Flag.Boolean("matrix").pipe(
    Flag.withDescription(`Write ${matrixPath} from what became of them`),
    Flag.withDefault(false)
  )
}, conformance).pipe(
  Command.withDescription("Run Kubernetes' own node tests, told again under their exact names, in virtual time"),
  Command.withExamples([
    { command: "npm run conformance", description: "All of them, in less than a minute" },
    { command: "npm run conformance -- --only '[sig-node] Pods '", description: "One suite" },
    { command: "npm run --silent conformance -- --json | tail -1", description: "For programs" }
  ])
)

runProgram(Command.run(command, { version }))
