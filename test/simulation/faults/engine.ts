/** What a device's container engine does wrong, and what ends its containers. */
import { Effect } from "effect"
import { RuntimeError } from "../../../core/pod/ContainerRuntime.ts"
import type { Fault as RuntimeFault, Operation } from "../../fakes/runtime/Fault.ts"
import { images } from "../workload.ts"
import type { Dice } from "./Dice.ts"
import { inEngineWeather } from "./engineWeather.ts"
import { type Episode, type Episodes, lasting } from "./Episode.ts"
import { atThePlug } from "./plug.ts"

const runtimeFaults: ReadonlyArray<(dice: Dice) => RuntimeFault> = [
  () => ({ _tag: "Fails" }),
  () => ({ _tag: "Lost" }),
  ({ between }) => ({ _tag: "Late", after: between(1, 1_500) }),
  ({ between }) => ({ _tag: "Slow", by: between(10, 3_000) })
]
/** Streams open in the caller's own scope; only their beginning can fail. A command is one that may be lost on its way. */
const spared: ReadonlySet<Operation> = new Set(["logs", "attach", "dial"])
/** A pull may take as long as it takes: one that hangs would do so for ever. */
const patient: ReadonlySet<Operation> = new Set([...spared, "pull", "usage"])

const pullRefusals = [
  new RuntimeError({ reason: "ImageUnavailable", detail: "dial tcp: lookup registry: no such host" }),
  new RuntimeError({ reason: "ImageDenied", detail: "pull access denied" }),
  new RuntimeError({ reason: "NotFound", detail: "manifest unknown" })
]

/** Something outside ends some of a device's processes. */
const hit = (endings: ReadonlyArray<137 | 1 | "OOMKilled">): Episode =>
  Effect.fnUntraced(function*({ dice }, { runtime }) {
    let victims = 0
    yield* runtime.crash(() => {
      const chosen = dice.chance() < 0.4
      if (chosen) victims += 1
      return chosen
    }, dice.pick(endings))
    return victims === 0 ? "missed" : undefined
  })

export const engine = {
  engineStops: ({ count, dice }, device) =>
    atThePlug(
      device,
      Effect.gen(function*() {
        const containers = dice.pick(["survive", "killed"] as const)
        count(`engine stops: containers ${containers}`)
        yield* device.runtime.stopEngine(containers)
        yield* lasting(dice, 500, 60_000)
        yield* device.runtime.startEngine
      })
    ),
  badEngine: Effect.fnUntraced(function*({ count, dice }, { runtime }) {
    const rate = dice.chance() * 0.5
    const draw = (operation: Operation) =>
      Effect.sync(() => {
        if (spared.has(operation) || dice.chance() >= rate) return undefined
        const fault = dice.pick(runtimeFaults)(dice)
        count(`engine: ${fault._tag}`)
        return fault
      })
    yield* inEngineWeather(runtime, draw, lasting(dice, 5_000, 60_000))
  }),
  // Calls that nobody ever answers, whether they were heard or not.
  hungEngine: Effect.fnUntraced(function*({ count, dice }, { runtime }) {
    const rate = 0.1 + dice.chance() * 0.4
    const draw = (operation: Operation) =>
      Effect.sync(() => {
        if (patient.has(operation) || dice.chance() >= rate) return undefined
        const fault: RuntimeFault = { _tag: dice.chance() < 0.5 ? "Hangs" : "Silent" }
        count(`engine: ${fault._tag}`)
        return fault
      })
    yield* inEngineWeather(runtime, draw, lasting(dice, 5_000, 30_000))
  }),
  // Images are pruned, and their registry gives out none.
  noImages: Effect.fnUntraced(function*({ count, dice }, { runtime }) {
    const refused = dice.pick(pullRefusals)
    count(`pull: ${refused.reason}`)
    for (const image of images) yield* runtime.image(image, { present: false, refused })
    yield* lasting(dice, 5_000, 90_000)
    for (const image of images) yield* runtime.grant(image)
  }),
  deafEngine: Effect.fnUntraced(function*({ dice }, { runtime }) {
    yield* runtime.loseEvents(true)
    yield* lasting(dice, 5_000, 120_000)
    yield* runtime.loseEvents(false)
  }),
  killedContainer: hit([137, 1]),
  outOfMemory: hit(["OOMKilled"])
} as const satisfies Episodes
