/** What befalls a storm's world: each fault is an episode that begins, lasts, and undoes itself. To add one, write it into the table. */
import { Deferred, Duration, Effect, Fiber, Option, type Random, Semaphore } from "effect"
import { type Fault as ApiFault, noFault, refuse } from "../../adapters/kube/plane/memory/Faults.ts"
import type { ApiRequest } from "../../adapters/kube/plane/request/ApiRequest.ts"
import { RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import { FilesError } from "../../core/pod/PodFiles.ts"
import { fairWeather } from "../fakes/MemoryTransport.ts"
import { type Fault as RuntimeFault, type Operation } from "../fakes/runtime/Fault.ts"
import type { Count } from "./coverage.ts"
import type { HostClock } from "./HostClock.ts"
import { images } from "./workload.ts"
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
  readonly operators: ReadonlyArray<Program>
  readonly clocks: {
    readonly of: (device: SimulatedDevice) => HostClock
    readonly operators: ReadonlyArray<HostClock & { readonly name: string }>
  }
  /** Of each operator's requests. */
  readonly apis: ReadonlyArray<ApiWeather>
  /** The cluster's store forgets what has changed: watches go on only from now. */
  readonly compact: Effect.Effect<void>
  /** Of the cluster's store, now. */
  readonly version: () => number
  /** Somebody with the operator's key, who tells the device a lower epoch than it has obeyed, for as long as this runs. */
  readonly ghost: (device: SimulatedDevice) => Effect.Effect<void>
  readonly note: (what: string) => Effect.Effect<void>
  /** Devices whose containers vanished with the power: what ran there may have to run again. */
  readonly emptied: Set<string>
  /** Devices whose processes were ended by force, or whose engine forgot some: what ran there may run once more. */
  readonly disturbed: Set<string>
  /** Devices whose disk forgot what it had promised to keep. */
  readonly forgetful: Set<string>
  readonly count: Count
  /** What the owner does about a device that is refused as a copy of itself. */
  readonly readmit: (device: SimulatedDevice) => Effect.Effect<void>
}

/** The faults of one operator's requests, changed while the storm goes on. */
export interface ApiWeather {
  chance: number
  /** Which requests suffer, and from what; anything from everything unless told. */
  mood: "any" | "slow" | "stale" | "cut"
  /** Sprung by the request at which the count comes to nothing; that request is done, and nobody hears its answer. */
  trap: { readonly count: { left: number }; readonly spring: () => void } | undefined
  /** Ends the watches that are open now. */
  readonly endOpen: (how: "broken" | "in order") => Effect.Effect<void>
  /** Version that lists are as old as, where the mood is `stale`; a few versions unless told. */
  asOf: number | undefined
  /** While there is one, nothing comes by any watch; when it is done, all comes at once. */
  frozen: Deferred.Deferred<void> | undefined
  readonly draw: (request: ApiRequest) => Effect.Effect<ApiFault>
}

/** Many objects of a kind, not one of them. */
const collection = /^\/(api\/v1|apis\/[^/]+\/[^/]+)(\/namespaces\/[^/]+)?\/[a-z]+$/

const told = (
  { answer, cutAbruptly, cutWatchAfter, delay, loseAnswer, refuseConnection, silence, staleBy }: ApiFault
) =>
  answer !== undefined
    ? String(answer.status)
    : cutWatchAfter !== undefined
    ? cutAbruptly === true ? "watch broken" : "watch cut"
    : refuseConnection === true
    ? "connection refused"
    : loseAnswer === true
    ? "answer lost"
    : silence === true
    ? "never answers"
    : staleBy !== undefined
    ? "stale read"
    : delay !== undefined
    ? "slow"
    : undefined

export const makeApiWeather = (
  { between, chance, pick }: Dice,
  version: () => number,
  count: Count
): ApiWeather => {
  let ending = Deferred.makeUnsafe<void, "broken">()
  const holdWatch = Effect.suspend(() => weather.frozen === undefined ? Effect.void : Deferred.await(weather.frozen))
  const weather: ApiWeather = {
    chance: 0,
    mood: "any",
    trap: undefined,
    frozen: undefined,
    asOf: undefined,
    endOpen: (how) =>
      Effect.sync(() => {
        const open = ending
        ending = Deferred.makeUnsafe()
        Deferred.doneUnsafe(open, how === "broken" ? Effect.fail(how) : Effect.void)
      }),
    draw: (request) =>
      Effect.sync(() => {
        const fault = drawn(request)
        const name = told(fault)
        if (name !== undefined) count(`api: ${name}`)
        return request.query.get("watch") === null
          ? fault
          : { ...fault, holdWatch, endWatchWhen: Deferred.await(ending) }
      })
  }
  const drawn = (request: ApiRequest): ApiFault => {
    if (weather.trap !== undefined && --weather.trap.count.left <= 0) {
      weather.trap.spring()
      weather.trap = undefined
      return { loseAnswer: true }
    }
    if (weather.chance === 0 || chance() >= weather.chance) return noFault
    const watches = request.query.get("watch") !== null
    switch (weather.mood) {
      case "slow":
        return watches ? noFault : { delay: between(500, 12_000) }
      case "stale":
        // Only what a reflector begins with: others rely on the quorum from which an API server answers them.
        return !watches && request.method === "GET" && request.query.get("fieldSelector") === null &&
            collection.test(request.path)
          ? { staleBy: weather.asOf === undefined ? between(1, 40) : Math.max(1, version() - weather.asOf) }
          : noFault
      case "cut":
        return watches ? { cutWatchAfter: between(0, 3), cutAbruptly: chance() < 0.5 } : noFault
      case "any":
        break
    }
    if (watches) {
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
  }
  return weather
}

const lasting = (dice: Dice, least: number, most: number) => Effect.sleep(Duration.millis(dice.between(least, most)))

/** `missed`: it found nothing that it could have happened to. */
type Episode = (victims: Victims, device: SimulatedDevice) => Effect.Effect<void | "missed">

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

/** Kills it in the middle of what it does: the disk takes nothing any more, so that no last words are written. */
const killAtWork = Effect.fnUntraced(function*(device: SimulatedDevice, dice: Dice, release: Effect.Effect<void>) {
  const dying = yield* Effect.forkChild(killSilently(device, dice), { startImmediately: true })
  yield* device.journal.fail("Broken")
  yield* release
  yield* Fiber.join(dying)
  yield* device.journal.heal
})

/** The power fails and comes back. */
const powerCycle = Effect.fnUntraced(function*(
  { dice, disturbed, emptied, note }: Victims,
  device: SimulatedDevice,
  boot: () => void
) {
  const containers = dice.chance() < 0.7 ? "exited" : "gone"
  yield* killSilently(device, dice)
  disturbed.add(device.name)
  if (containers === "gone") emptied.add(device.name)
  yield* device.runtime.powerOff(containers)
  yield* device.host.reboot
  boot()
  yield* lasting(dice, 1_000, 60_000)
  yield* device.runtime.startEngine
  if (dice.chance() < 0.3) yield* lasting(dice, 0, 5_000)
  yield* device.agent.start
  yield* note(`${device.name} is up again, containers ${containers}`)
})

/** How long a trap waits for its victim. */
const trapMillis = 60_000
const sprung = (trap: Deferred.Deferred<void>) =>
  Effect.map(Effect.timeoutOption(Deferred.await(trap), trapMillis), Option.isSome)

const runtimeFaults: ReadonlyArray<(dice: Dice) => RuntimeFault> = [
  () => ({ _tag: "Fails" }),
  () => ({ _tag: "Lost" }),
  ({ between }) => ({ _tag: "Late", after: between(1, 1_500) }),
  ({ between }) => ({ _tag: "Slow", by: between(10, 3_000) })
]
/** Streams open in the caller's own scope; only their beginning can fail. */
const spared: ReadonlySet<Operation> = new Set(["logs", "exec", "attach", "dial"])
/** A pull may take as long as it takes: one that hangs would do so for ever. */
const patient: ReadonlySet<Operation> = new Set([...spared, "pull", "usage"])

const pullRefusals = [
  new RuntimeError({ reason: "ImageUnavailable", detail: "dial tcp: lookup registry: no such host" }),
  new RuntimeError({ reason: "ImageDenied", detail: "pull access denied" }),
  new RuntimeError({ reason: "NotFound", detail: "manifest unknown" })
]

/** Calls at whose very moment an agent may die. */
const critical = ["ensureSandbox", "create", "start", "stop", "remove", "containers", "inspect"] as const

const noSpace = new FilesError({ reason: "Failed", detail: "no space left on device" })

/** Something outside ends some of a device's processes. */
const hit = (endings: ReadonlyArray<137 | 1 | "OOMKilled">): Episode =>
  Effect.fnUntraced(function*({ dice, disturbed }, { name, runtime }) {
    let victims = 0
    yield* runtime.crash(() => {
      const chosen = dice.chance() < 0.4
      if (chosen) victims += 1
      return chosen
    }, dice.pick(endings))
    if (victims === 0) return "missed"
    disturbed.add(name)
    return
  })

const mood = (which: ApiWeather["mood"], chance: (dice: Dice) => number): Episode =>
  Effect.fnUntraced(function*({ apis, dice }) {
    const rate = chance(dice)
    const some = dice.chance() < 0.5 ? apis : [dice.pick(apis)]
    for (const api of some) {
      api.mood = which
      api.chance = rate
      if (which === "cut" || which === "any") yield* api.endOpen("broken")
    }
    yield* lasting(dice, 2_000, 60_000)
    for (const api of some) api.chance = 0
  })

/** What the API tells comes late: nothing for a while, then all at once. */
const freeze = (api: ApiWeather) => {
  api.frozen ??= Deferred.makeUnsafe<void>()
}
const thaw = (api: ApiWeather) => {
  const frozen = api.frozen
  api.frozen = undefined
  if (frozen !== undefined) Deferred.doneUnsafe(frozen, Effect.void)
}

const plagues = {
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
    yield* transport.weather({ blackHole: true })
    yield* lasting(dice, 2_000, 420_000)
    yield* transport.weather({ blackHole: false })
  }),
  deafDevice: Effect.fnUntraced(function*({ dice }, { transport }) {
    yield* transport.weather({ blackHole: true }, "toDevice")
    yield* lasting(dice, 2_000, 420_000)
    yield* transport.weather({ blackHole: false }, "toDevice")
  }),
  muteDevice: Effect.fnUntraced(function*({ dice }, { transport }) {
    yield* transport.weather({ blackHole: true }, "toOperator")
    yield* lasting(dice, 2_000, 420_000)
    yield* transport.weather({ blackHole: false }, "toOperator")
  }),
  // The device is back at once, while the operator still holds the connection of the life before.
  halfOpen: ({ dice }, device) =>
    atThePlug(
      device,
      Effect.gen(function*() {
        yield* device.transport.weather({ blackHole: true })
        yield* device.agent.kill
        yield* device.transport.weather({ blackHole: false })
        yield* lasting(dice, 0, 3_000)
        yield* device.agent.start
      })
    ),
  everybodyFlaps: Effect.fnUntraced(function*({ devices, dice }) {
    for (let times = dice.between(1, 6); times > 0; times--) {
      for (const { transport } of devices) yield* transport.cut()
      yield* lasting(dice, 50, 20_000)
    }
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
  agentDiesAtCommit: ({ dice }, device) =>
    atThePlug(
      device,
      Effect.gen(function*() {
        const reached = Deferred.makeUnsafe<void>()
        const gate = Deferred.makeUnsafe<void>()
        const release = Effect.sync(() => Deferred.doneUnsafe(gate, Effect.void))
        let left = dice.between(1, 9)
        yield* device.journal.intercept(Effect.suspend(() => {
          left -= 1
          if (left > 0) return Effect.void
          Deferred.doneUnsafe(reached, Effect.void)
          return Deferred.await(gate)
        }))
        const met = yield* sprung(reached).pipe(
          Effect.onInterrupt(() => release),
          Effect.ensuring(device.journal.intercept(Effect.void))
        )
        if (!met) return "missed"
        yield* killAtWork(device, dice, release)
        yield* lasting(dice, 0, 30_000)
        return yield* device.agent.start
      })
    ),
  agentDiesAtCall: ({ dice }, device) =>
    atThePlug(
      device,
      Effect.gen(function*() {
        const reached = Deferred.makeUnsafe<void>()
        let armed = true
        const where = () => {
          if (!armed) return false
          armed = false
          Deferred.doneUnsafe(reached, Effect.void)
          return true
        }
        const fault: RuntimeFault = dice.pick([{ _tag: "Lost" }, { _tag: "Fails" }, { _tag: "Late", after: 200 }])
        yield* device.runtime.fault(dice.pick(critical), fault, { where })
        const met = yield* Effect.ensuring(
          sprung(reached),
          Effect.sync(() => {
            armed = false
          })
        )
        if (!met) return "missed"
        yield* killAtWork(device, dice, Effect.void)
        yield* lasting(dice, 0, 30_000)
        return yield* device.agent.start
      })
    ),
  // A disk that lies about having written, found out when the power fails.
  lostWrites: ({ clocks, dice, disturbed, emptied, forgetful, readmit }, device) =>
    atThePlug(
      device,
      Effect.gen(function*() {
        yield* device.journal.stopSyncing
        yield* lasting(dice, 500, 30_000)
        const containers = dice.chance() < 0.7 ? "exited" : "gone"
        for (const marked of [disturbed, forgetful]) marked.add(device.name)
        if (containers === "gone") emptied.add(device.name)
        yield* killSilently(device, dice)
        yield* device.journal.crash
        yield* device.runtime.powerOff(containers)
        yield* device.host.reboot
        clocks.of(device).boot()
        yield* lasting(dice, 500, 20_000)
        yield* device.runtime.startEngine
        yield* device.agent.start
        yield* readmit(device)
      })
    ),
  reboot: (victims, device) => atThePlug(device, powerCycle(victims, device, () => victims.clocks.of(device).boot())),
  clockJump: Effect.fnUntraced(function*({ clocks, count, dice, note }, device) {
    const all = [{ name: device.name, ...clocks.of(device) }, ...clocks.operators]
    const { jump, name } = dice.chance() < 0.6 ? all[0]! : dice.pick(all)
    const millis = Math.round(60_000 * 1440 ** dice.chance()) * (dice.chance() < 0.5 ? -1 : 1)
    count(`clock: ${name === device.name ? "device" : "operator"} ${millis < 0 ? "back" : "forward"}`)
    yield* note(`the clock of ${name} jumps by ${Math.round(millis / 1000)} s`)
    jump(millis)
    if (dice.chance() < 0.5) return
    yield* lasting(dice, 1_000, 60_000)
    yield* note(`the clock of ${name} is set back`)
    jump(-millis)
  }),
  // A board without a battery: it begins in 1970 until a time server is found, before or after it has linked.
  bootIn1970: (victims, device) =>
    atThePlug(
      device,
      Effect.gen(function*() {
        const { bootIn1970, step } = victims.clocks.of(device)
        yield* powerCycle(victims, device, bootIn1970)
        yield* lasting(victims.dice, 0, 60_000)
        yield* victims.note(`${device.name} has found a time server`)
        step()
      })
    ),
  engineStops: ({ dice, disturbed }, device) =>
    atThePlug(
      device,
      Effect.gen(function*() {
        const fate = dice.pick(["survive", "killed"] as const)
        if (fate === "killed") disturbed.add(device.name)
        yield* device.runtime.stopEngine(fate)
        yield* lasting(dice, 500, 60_000)
        yield* device.runtime.startEngine
      })
    ),
  badEngine: Effect.fnUntraced(function*({ count, dice }, { runtime }) {
    const rate = dice.chance() * 0.5
    yield* runtime.weather((operation) =>
      Effect.sync(() => {
        if (spared.has(operation) || dice.chance() >= rate) return undefined
        const fault = dice.pick(runtimeFaults)(dice)
        count(`engine: ${fault._tag}`)
        return fault
      })
    )
    yield* lasting(dice, 5_000, 60_000)
    yield* runtime.heal
  }),
  // Calls that nobody ever answers, whether they were heard or not.
  hungEngine: Effect.fnUntraced(function*({ count, dice }, { runtime }) {
    const rate = 0.1 + dice.chance() * 0.4
    yield* runtime.weather((operation) =>
      Effect.sync(() => {
        if (patient.has(operation) || dice.chance() >= rate) return undefined
        const fault: RuntimeFault = { _tag: dice.chance() < 0.5 ? "Hangs" : "Silent" }
        count(`engine: ${fault._tag}`)
        return fault
      })
    )
    yield* lasting(dice, 5_000, 30_000)
    yield* runtime.heal
  }),
  // Images are pruned, and their registry gives out none.
  noImages: Effect.fnUntraced(function*({ dice }, { runtime }) {
    const refused = dice.pick(pullRefusals)
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
  outOfMemory: hit(["OOMKilled"]),
  fullDisk: Effect.fnUntraced(function*({ dice }, { files, journal }) {
    yield* journal.fail("Full")
    const also = dice.chance() < 0.5
    if (also) { for (const deed of ["volume", "write", "replace"] as const) yield* files.fail(deed, noSpace) }
    yield* lasting(dice, 500, 90_000)
    yield* journal.heal
    if (also) yield* files.heal
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
  // Somebody clears up by hand what is not his.
  pruned: Effect.fnUntraced(function*({ dice, disturbed, emptied }, { name, runtime }) {
    let victims = 0
    yield* runtime.prune(() => {
      const chosen = dice.chance() < 0.4
      if (chosen) victims += 1
      return chosen
    })
    if (victims === 0) return "missed"
    for (const marked of [disturbed, emptied]) marked.add(name)
    return
  }),
  brokenSandbox: Effect.fnUntraced(function*({ dice, disturbed }, { engine, name, runtime }) {
    const running = yield* Effect.option(engine.sandboxes)
    if (running._tag === "None" || running.value.length === 0) return "missed"
    disturbed.add(name)
    return yield* runtime.breakSandbox(dice.pick(running.value).uid)
  }),
  operatorDies: Effect.fnUntraced(function*({ dice, operators }) {
    const operator = dice.pick(operators)
    yield* operator.kill
    yield* lasting(dice, 0, 90_000)
    yield* operator.start
  }),
  // The one that made the request, whichever that was.
  operatorDiesAtRequest: Effect.fnUntraced(function*({ apis, dice, operators }) {
    const reached = Deferred.makeUnsafe<void>()
    const trap = { left: dice.between(1, 30) }
    let victim: Program | undefined
    for (const [i, api] of apis.entries()) {
      api.trap = {
        count: trap,
        spring: () => {
          victim = operators[i]
          Deferred.doneUnsafe(reached, Effect.void)
        }
      }
    }
    const met = yield* sprung(reached)
    for (const api of apis) if (api.trap?.count === trap) api.trap = undefined
    if (!met || victim === undefined) return "missed"
    yield* victim.kill
    yield* lasting(dice, 0, 30_000)
    return yield* victim.start
  }),
  // It begins with lists from before it died, and hears only later what has changed.
  operatorComesBackBehind: Effect.fnUntraced(function*({ apis, dice, operators, version }) {
    const chosen = dice.between(0, operators.length)
    const operator = operators[chosen]!
    const api = apis[chosen]!
    const asOf = version()
    yield* lasting(dice, 2_000, 30_000)
    yield* operator.kill
    yield* lasting(dice, 0, 10_000)
    api.mood = "stale"
    api.asOf = asOf
    api.chance = 1
    freeze(api)
    yield* operator.start
    yield* lasting(dice, 3_000, 40_000)
    api.chance = 0
    api.asOf = undefined
    thaw(api)
  }),
  watchesFrozen: Effect.fnUntraced(function*({ apis, dice }) {
    const some = dice.chance() < 0.5 ? apis : [dice.pick(apis)]
    some.forEach(freeze)
    yield* lasting(dice, 1_000, 40_000)
    some.forEach(thaw)
  }),
  // Watches end, as they do from time to time, and the versions from which they would go on are forgotten.
  compacted: Effect.fnUntraced(function*({ apis, compact }) {
    yield* compact
    for (const api of apis) yield* api.endOpen("in order")
  }),
  ghost: Effect.fnUntraced(function*({ dice, ghost }, device) {
    const haunted = yield* Effect.forkChild(ghost(device), { startImmediately: true })
    yield* device.transport.cut()
    yield* lasting(dice, 5_000, 60_000)
    yield* Fiber.interrupt(haunted)
  }),
  badApi: mood("any", ({ chance }) => chance() * 0.6),
  slowApi: mood("slow", () => 1),
  staleReads: mood("stale", () => 1),
  watchesCut: mood("cut", () => 1)
} as const satisfies Readonly<Record<string, Episode>>

export type FaultName = keyof typeof plagues

/** As they are, each counted when it finds its victim. */
export const episodes: Readonly<Record<string, Episode>> = Object.fromEntries(
  Object.entries<Episode>(plagues).map(([name, episode]) => [
    name,
    (victims, device) =>
      Effect.suspend(() => {
        victims.count(`fault: ${name}`)
        return Effect.tap(
          episode(victims, device),
          (outcome) => outcome === "missed" ? Effect.sync(() => victims.count(`fault: ${name}`, -1)) : Effect.void
        )
      })
  ])
)

/** What a fault is made of, where it comes in several kinds. */
export const kinds: Partial<Readonly<Record<FaultName, ReadonlyArray<string>>>> = {
  clockJump: ["clock: device back", "clock: device forward", "clock: operator back", "clock: operator forward"],
  badApi: [
    "409",
    "410",
    "429",
    "500",
    "503",
    "watch cut",
    "watch broken",
    "connection refused",
    "answer lost",
    "never answers",
    "slow"
  ].map((kind) => `api: ${kind}`),
  slowApi: ["api: slow"],
  staleReads: ["api: stale read"],
  watchesCut: ["api: watch cut", "api: watch broken"],
  badEngine: ["engine: Fails", "engine: Lost", "engine: Late", "engine: Slow"],
  hungEngine: ["engine: Hangs", "engine: Silent"]
}

/** Everything as on a good day: what is still broken is mended, and both programs are up. */
export const healEverything = Effect.fnUntraced(function*({ apis, devices, forgetful, operators, readmit }: Victims) {
  for (const api of apis) {
    api.chance = 0
    api.trap = undefined
    api.asOf = undefined
    thaw(api)
  }
  for (const device of devices) {
    yield* device.transport.weather({ ...fairWeather })
    yield* device.transport.refuse(undefined)
    yield* device.runtime.heal
    yield* device.runtime.loseEvents(false)
    for (const image of images) yield* device.runtime.grant(image)
    yield* device.journal.heal
    yield* device.files.heal
    yield* device.runtime.startEngine
    yield* device.agent.up
    if (forgetful.has(device.name)) yield* readmit(device)
  }
  for (const operator of operators) yield* operator.up
})
