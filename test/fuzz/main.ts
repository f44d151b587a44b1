/** `npm run fuzz`: inputs nobody should send, to the SPDY, WebSocket and HTTP layers of the kubelet API. */
import { Console, Effect, Option, Schema, type Scope } from "effect"
import { Command, Flag } from "effect/cli"
import { runProgram } from "../../apps/shared/runProgram.ts"
import { version } from "../../apps/shared/version.ts"
import type { Finding, FuzzedLayer, LayerName } from "./FuzzedLayer.ts"
import { httpLayer } from "./httpLayer.ts"
import { caps, type Figures, runFuzz } from "./runFuzz.ts"
import { spdyLayer } from "./spdyLayer.ts"
import { webSocketLayer } from "./webSocketLayer.ts"

const layers: Readonly<Record<LayerName, Effect.Effect<FuzzedLayer, unknown, Scope.Scope>>> = {
  spdy: spdyLayer,
  websocket: webSocketLayer,
  http: httpLayer
}
const names: ReadonlyArray<LayerName> = ["spdy", "websocket", "http"]

class FaultsFound extends Schema.TaggedError<FaultsFound>()("FaultsFound", { layers: Schema.String }) {
  override get message() {
    return `faults were found: ${this.layers}`
  }
}

const mebibytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`
/** Milliseconds between two words about how far it is. */
const pause = 10_000

const memory = ({ atOnce, kept }: Figures) =>
  `at most ${mebibytes(atOnce)} at once (cap ${mebibytes(caps.atOnce)}), ${mebibytes(kept)} kept (cap ${
    mebibytes(caps.kept)
  })`

const fuzzOne = Effect.fnUntraced(function*(
  name: LayerName,
  options: { readonly seed: number; readonly first: number; readonly times: number; readonly sessionEvery: number }
) {
  const { first, seed, sessionEvery, times } = options
  const layer = yield* layers[name]
  const began = performance.now()
  const seconds = () => (performance.now() - began) / 1000
  let spoke = began
  const progress = (figures: Figures) => {
    if (performance.now() - spoke < pause) return
    spoke = performance.now()
    process.stderr.write(
      `${name}: ${figures.done} of ${times} inputs, ${(figures.done / seconds()).toFixed(0)} a second, ${
        memory(figures)
      }\n`
    )
  }
  const outcome = yield* Effect.result(runFuzz(layer, { seed, first, times, sessionEvery, progress }))
  const about = { layer: name, seed, first, times, sessionEvery, seconds: Math.round(seconds()) }
  if (outcome._tag === "Success") {
    const { atOnce, kept } = outcome.success
    yield* Console.log(
      `${name}: ${times} inputs with seed ${seed}, every ${sessionEvery}th in a session of its own: no crash, no hang; ${
        memory(outcome.success)
      }; ${about.seconds} s`
    )
    return { ...about, ok: true, atOnce, kept, ends: Object.fromEntries(layer.ends) }
  }
  const fault: Finding & { readonly index?: number } = outcome.failure
  yield* Console.log(
    `${name}: input ${fault.index}: ${fault.message}\n  again: npm run fuzz -- --layer ${name} --seed ${seed} --first ${fault.index} --times 1 --session-every ${sessionEvery}`
  )
  return { ...about, ok: false, index: fault.index, what: fault.what, input: fault.input }
}, Effect.scoped)

const fuzz = Effect.fnUntraced(function*(options: {
  readonly times: number
  readonly seed: number
  readonly first: number
  readonly sessionEvery: number
  readonly layer: Option.Option<LayerName>
  readonly json: boolean
}) {
  const outcomes = yield* Effect.forEach(
    Option.match(options.layer, { onNone: () => names, onSome: (name) => [name] }),
    (name) => fuzzOne(name, options)
  )
  if (options.json) yield* Console.log(JSON.stringify(outcomes))
  const faulty = outcomes.filter(({ ok }) => !ok)
  if (faulty.length > 0) return yield* new FaultsFound({ layers: faulty.map(({ layer }) => layer).join(", ") })
})

const whole = (name: string, description: string, fallback: number) =>
  Flag.Int(name).pipe(Flag.withMetavar("N"), Flag.withDescription(description), Flag.withDefault(fallback))

const command = Command.make("fuzz", {
  times: whole("times", "How many inputs each layer is shown", 10_000),
  seed: whole("seed", "The same inputs for the same seed", 1),
  first: whole("first", "The number of the first input", 0),
  sessionEvery: whole("session-every", "Every which input has a whole session of its own", 25),
  layer: Flag.Literals("layer", names).pipe(Flag.withDescription("One layer alone"), Flag.optional),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("The last line is one JSON array: what became of each layer"),
    Flag.withDefault(false)
  )
}, fuzz).pipe(
  Command.withDescription("Show spoiled and random inputs to the SPDY, WebSocket and HTTP layers of the kubelet API"),
  Command.withExamples([
    { command: "npm run fuzz", description: "10,000 inputs to each layer, about a minute" },
    { command: "npm run fuzz -- --times 1000000 --layer spdy --seed 7", description: "A million to one" },
    { command: "npm run --silent fuzz -- --json | tail -1", description: "For programs" }
  ])
)

runProgram(Command.run(command, { version }))
