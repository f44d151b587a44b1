/** What befalls a storm's world: each fault is an episode that begins, lasts, and undoes itself. To add one, write it into the table. */
import { Duration, Effect, type Random, Semaphore } from "effect"
import { type Fault as ApiFault, noFault, refuse } from "../../adapters/kube/plane/memory/Faults.ts"
import type { ApiRequest } from "../../adapters/kube/plane/request/ApiRequest.ts"
import { FilesError } from "../../core/pod/PodFiles.ts"
import { fairWeather } from "../fakes/MemoryTransport.ts"
import { type Fault as RuntimeFault, type Operation } from "../fakes/runtime/Fault.ts"
import type { Program, SimulatedDevice } from "./World.ts"

export interface Dice {
  /** In [0, 1). */
  readonly chance: () => number
  /** A whole number in [least, most). */
  readonly between: (least: number, most: number) => number
  readonly pick: <A>(from: ReadonlyArray<A>) => A
}

export const diceOf = (random: typeof Random.Random["Service"]): Dice => diceFrom(() => random.nextDoubleUnsafe())

export const diceFrom = (chance: () => number): Dice => {
  const between = (least: number, most: number) => Math.floor(least + chance() * (most - least))
  return { chance, between, pick: (from) => from[between(0, from.length)]! }
}

export interface Victims {
  readonly dice: Dice
  readonly devices: ReadonlyArray<SimulatedDevice>
  readonly operator: Program
  readonly api: ApiWeather
  readonly note: (what: string) => Effect.Effect<void>
  /** Devices whose containers vanished with the power: what ran there may have to run again. */
  readonly emptied: Set<string>
}

/** The faults of the operator's requests, changed while the storm goes on. */
export interface ApiWeather {
  chance: number
  readonly draw: (request: ApiRequest) => Effect.Effect<ApiFault>
}

export const makeApiWeather = ({ between, chance, pick }: Dice): ApiWeather => {
  const weather: ApiWeather = {
    chance: 0,
    draw: (request) =>
      Effect.sync(() => {
        if (weather.chance === 0 || chance() >= weather.chance) return noFault
        if (request.query.get("watch") !== null) {
          return pick<() => ApiFault>([
            () => ({ cutWatchAfter: between(0, 5) }),
            () => ({ cutWatchAfter: between(0, 5), cutAbruptly: true }),
            () => ({ answer: refuse(410, "Expired", "too old resource version") }),
            () => ({ refuseConnection: true }),
            () => ({ answer: refuse(500, "InternalError", "etcd is slow") })
          ])()
        }
        return pick<() => ApiFault>([
          () => ({ answer: refuse(429, "TooManyRequests", "slow down", 1) }),
          () => ({ answer: refuse(500, "InternalError", "etcd is slow") }),
          () => ({ answer: refuse(503, "ServiceUnavailable", "no leader") }),
          () => ({ refuseConnection: true }),
          () => ({ loseAnswer: true }),
          () => ({ silence: true }),
          () => ({ delay: between(10, 5_000) }),
          () =>
            request.method === "PATCH" || request.method === "PUT"
              ? { answer: refuse(409, "Conflict", "the object has been modified") }
              : { loseAnswer: true }
        ])()
      })
  }
  return weather
}

const lasting = (dice: Dice, least: number, most: number) => Effect.sleep(Duration.millis(dice.between(least, most)))

type Episode = (victims: Victims, device: SimulatedDevice) => Effect.Effect<void>

/** A device's plug is pulled by one at a time. */
const plugs = new WeakMap<SimulatedDevice, Semaphore.Semaphore>()
const atThePlug = <A>(device: SimulatedDevice, work: Effect.Effect<A>): Effect.Effect<A> => {
  let plug = plugs.get(device)
  if (plug === undefined) plugs.set(device, plug = Semaphore.makeUnsafe(1))
  return plug.withPermit(work)
}

/** A process that dies says no goodbye: what its finalizers send is swallowed. */
const killSilently = Effect.fnUntraced(function*(device: SimulatedDevice, dice: Dice) {
  if (dice.chance() < 0.5) return yield* device.agent.kill
  yield* device.transport.weather({ blackHole: true })
  yield* device.agent.kill
  yield* device.transport.weather({ blackHole: false })
})

const runtimeFaults: ReadonlyArray<(dice: Dice) => RuntimeFault> = [
  () => ({ _tag: "Fails" }),
  () => ({ _tag: "Lost" }),
  ({ between }) => ({ _tag: "Late", after: between(1, 1_500) }),
  ({ between }) => ({ _tag: "Slow", by: between(10, 3_000) })
]
/** Streams open in the caller's own scope; only their beginning can fail. */
const spared: ReadonlySet<Operation> = new Set(["logs", "exec", "attach", "dial"])

export const episodes: Readonly<Record<string, Episode>> = {
  badLink: Effect.fnUntraced(function*({ dice }, { transport }) {
    const { between, chance } = dice
    const direction = dice.pick([undefined, "toOperator", "toDevice"] as const)
    yield* transport.weather({
      loss: chance() * 0.4,
      duplication: chance() * 0.3,
      reorder: chance() * 0.3,
      corruption: chance() < 0.3 ? chance() * 0.1 : 0,
      truncation: chance() < 0.3 ? chance() * 0.1 : 0,
      delayMillis: [between(0, 20), between(20, 900)],
      bytesPerSecond: chance() < 0.3 ? between(500, 20_000) : 0
    }, direction)
    yield* lasting(dice, 5_000, 120_000)
    yield* transport.weather({ ...fairWeather })
  }),
  cut: (_, { transport }) => transport.cut(),
  flap: Effect.fnUntraced(function*({ dice }, { transport }) {
    for (let times = dice.between(2, 12); times > 0; times--) {
      yield* transport.cut()
      yield* lasting(dice, 50, 8_000)
    }
  }),
  blackHole: Effect.fnUntraced(function*({ dice }, { transport }) {
    yield* transport.weather({ blackHole: true }, dice.pick([undefined, "toOperator", "toDevice"] as const))
    yield* lasting(dice, 2_000, 420_000)
    yield* transport.weather({ blackHole: false })
  }),
  refused: Effect.fnUntraced(function*({ dice }, { transport }) {
    yield* transport.refuse(dice.pick(["Refused", "Rejected"] as const))
    if (dice.chance() < 0.7) yield* transport.cut()
    yield* lasting(dice, 2_000, 400_000)
    yield* transport.refuse(undefined)
  }),
  agentDies: ({ dice }, device) =>
    atThePlug(
      device,
      Effect.gen(function*() {
        yield* killSilently(device, dice)
        yield* lasting(dice, 0, 60_000)
        yield* device.agent.start
      })
    ),
  reboot: ({ dice, emptied, note }, device) =>
    atThePlug(
      device,
      Effect.gen(function*() {
        const containers = dice.chance() < 0.7 ? "exited" : "gone"
        yield* killSilently(device, dice)
        if (containers === "gone") emptied.add(device.name)
        yield* device.runtime.powerOff(containers)
        yield* device.host.reboot
        yield* lasting(dice, 1_000, 60_000)
        yield* device.runtime.startEngine
        if (dice.chance() < 0.3) yield* lasting(dice, 0, 5_000)
        yield* device.agent.start
        yield* note(`${device.name} is up again, containers ${containers}`)
      })
    ),
  engineStops: ({ dice }, device) =>
    atThePlug(
      device,
      Effect.gen(function*() {
        yield* device.runtime.stopEngine(dice.pick(["survive", "killed"]))
        yield* lasting(dice, 500, 60_000)
        yield* device.runtime.startEngine
      })
    ),
  badEngine: Effect.fnUntraced(function*({ dice }, { runtime }) {
    const rate = dice.chance() * 0.5
    yield* runtime.weather((operation) =>
      Effect.sync(() => spared.has(operation) || dice.chance() >= rate ? undefined : dice.pick(runtimeFaults)(dice))
    )
    yield* lasting(dice, 5_000, 60_000)
    yield* runtime.heal
  }),
  deafEngine: Effect.fnUntraced(function*({ dice }, { runtime }) {
    yield* runtime.loseEvents(true)
    yield* lasting(dice, 5_000, 120_000)
    yield* runtime.loseEvents(false)
  }),
  killedContainer: Effect.fnUntraced(function*({ dice }, { runtime }) {
    yield* runtime.crash(() => dice.chance() < 0.4, dice.pick([137, 1, "OOMKilled"] as const))
  }),
  fullDisk: Effect.fnUntraced(function*({ dice }, { journal }) {
    yield* journal.fail("Full")
    yield* lasting(dice, 500, 90_000)
    yield* journal.heal
  }),
  badFiles: Effect.fnUntraced(function*({ dice }, { files }) {
    yield* files.fail(
      dice.pick(["volume", "write", "remove", "pods"] as const),
      new FilesError({ reason: "Failed", detail: "input/output error" }),
      dice.between(1, 10)
    )
    yield* lasting(dice, 500, 30_000)
    yield* files.heal
  }),
  brokenSandbox: Effect.fnUntraced(function*({ dice }, { engine, runtime }) {
    const running = yield* Effect.option(engine.sandboxes)
    if (running._tag === "None" || running.value.length === 0) return
    yield* runtime.breakSandbox(dice.pick(running.value).uid)
  }),
  operatorDies: Effect.fnUntraced(function*({ dice, operator }) {
    yield* operator.kill
    yield* lasting(dice, 0, 90_000)
    yield* operator.start
  }),
  badApi: Effect.fnUntraced(function*({ api, dice }) {
    api.chance = dice.chance() * 0.6
    yield* lasting(dice, 2_000, 60_000)
    api.chance = 0
  })
}

/** Which faults a profile draws from; the first is what a storm uses unless told otherwise. */
export const profiles: Readonly<Record<string, ReadonlyArray<string>>> = {
  everything: Object.keys(episodes),
  calm: [],
  link: ["badLink", "cut", "flap", "blackHole", "refused"],
  device: [
    "agentDies",
    "reboot",
    "engineStops",
    "badEngine",
    "deafEngine",
    "killedContainer",
    "fullDisk",
    "badFiles",
    "brokenSandbox"
  ],
  cloud: ["operatorDies", "badApi"]
}

/** Everything as on a good day: what is still broken is mended, and both programs are up. */
export const healEverything = Effect.fnUntraced(function*({ api, devices, operator }: Victims) {
  api.chance = 0
  for (const device of devices) {
    yield* device.transport.weather({ ...fairWeather })
    yield* device.transport.refuse(undefined)
    yield* device.runtime.heal
    yield* device.runtime.loseEvents(false)
    yield* device.journal.heal
    yield* device.files.heal
    yield* device.runtime.startEngine
    yield* device.agent.up
  }
  yield* operator.up
})
