/** `npm run bench`: every budget of the project as a table, measured on the built programs. */
import { Console, Effect, Option, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { cpus, loadavg, totalmem } from "node:os"
import { runProgram } from "../../apps/shared/runProgram.ts"
import { version } from "../../apps/shared/version.ts"
import { scratch } from "../e2e/scratch.ts"
import type { Scene, SceneName } from "./Figure.ts"
import { figures } from "./figures.ts"
import { json, type Outcome, table } from "./report.ts"
import { dockerScene } from "./scenes/docker.ts"
import { fleetScene } from "./scenes/fleet.ts"
import { footprintScene } from "./scenes/footprint.ts"
import { linkScene } from "./scenes/link.ts"
import { streamsScene } from "./scenes/streams.ts"
import { wireScene } from "./scenes/wire.ts"
import { buildPrograms, type Programs, say } from "./System.ts"

class UnknownFigure extends Schema.TaggedError<UnknownFigure>()("UnknownFigure", { name: Schema.String }) {
  override get message() {
    return `there is no figure ${this.name}; there are ${figures.map(({ name }) => name).join(", ")}`
  }
}

const scenes: Readonly<Record<SceneName, (programs: Programs, folder: string) => Scene>> = {
  docker: dockerScene,
  footprint: footprintScene,
  link: linkScene,
  fleet: fleetScene,
  streams: streamsScene,
  wire: wireScene
}

/** The load of the last minute before anything was measured: others' work shows in every rate and wait. */
const machine = () =>
  `${cpus().length} x ${cpus()[0]?.model.trim() ?? "?"}, ${
    (totalmem() / 2 ** 30).toFixed(0)
  } GiB, Node.js ${process.version}, load ${loadavg()[0]?.toFixed(1)} at the start`

const bench = Effect.fnUntraced(function*(options: {
  readonly quick: boolean
  readonly json: boolean
  readonly only: Option.Option<string>
  readonly devices: number
}) {
  const only = Option.map(options.only, (list) => list.split(",").map((name) => name.trim()))
  for (const name of Option.getOrElse(only, () => [])) {
    if (!figures.some((figure) => figure.name === name)) return yield* new UnknownFigure({ name })
  }
  const wanted = (name: string) => Option.match(only, { onNone: () => true, onSome: (names) => names.includes(name) })
  const chosen = figures.filter(({ name }) => wanted(name))
  const where = machine()
  const folder = yield* scratch
  const outcomes = new Map<string, Outcome>()
  for (const { measuredBy, name } of chosen) {
    if ("reason" in measuredBy) outcomes.set(name, { name, reason: measuredBy.reason })
  }
  const needed = new Set(chosen.flatMap(({ measuredBy }) => "scene" in measuredBy ? [measuredBy.scene] : []))
  if (needed.size > 0) {
    yield* say("building aranya and arhat")
    const programs = yield* buildPrograms(`${folder}/programs`)
    for (const scene of needed) {
      const { devices, quick } = options
      // One scene that breaks takes no other's figures with it.
      const taken = yield* Effect.scoped(scenes[scene](programs, `${folder}/${scene}`)({ quick, devices, wanted }))
        .pipe(
          Effect.catch((error) => Effect.as(say(`${scene}: ${error.message}`), error.message))
        )
      for (const { measuredBy, name } of chosen) {
        if (!("scene" in measuredBy) || measuredBy.scene !== scene) continue
        const outcome = typeof taken === "string" ? { name, reason: taken } : taken.find((each) => each.name === name)
        outcomes.set(name, outcome ?? { name, reason: "the scene did not come to it" })
      }
    }
  }
  yield* Console.log(`${where}${options.quick ? ", quick run" : ""}\n\n${table(chosen, outcomes)}`)
  if (options.json) yield* Console.log(json(chosen, outcomes))
}, Effect.scoped)

const command = Command.make("bench", {
  quick: Flag.Boolean("quick").pipe(
    Flag.withDescription("Shorter waits, fewer rounds, a scaled beat: minutes in place of a quarter of an hour"),
    Flag.withDefault(false)
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("The last line is one JSON object: figure to value, unit, budget, best"),
    Flag.withDefault(false)
  ),
  only: Flag.String("only").pipe(
    Flag.withMetavar("FIGURE[,FIGURE]"),
    Flag.withDescription(`Measure these alone: ${figures.map(({ name }) => name).join(", ")}`),
    Flag.optional
  ),
  devices: Flag.Int("devices").pipe(
    Flag.withDescription("How many devices come and go in the figures of the fleet"),
    Flag.withDefault(200)
  )
}, bench).pipe(
  Command.withDescription("Measure the project's budgets on the built programs; progress goes to stderr"),
  Command.withExamples([
    { command: "npm run bench -- --quick", description: "Every figure, in a few minutes" },
    { command: "npm run bench -- --only onboarding-rate --devices 500", description: "One figure" },
    { command: "npm run bench -- --only idle-payload-grpc,idle-wire-grpc", description: "Several" },
    { command: "npm run --silent bench -- --json | tail -1", description: "For programs" }
  ])
)

runProgram(Command.run(command, { version }))
