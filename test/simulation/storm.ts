/**
 * One storm: a fleet under a workload that comes and goes, faults drawn from the seed, then peace; afterwards what the API says
 * must be what the devices do. The same seed tells the same story to the last line.
 */
import { Cause, Duration, Effect, Exit, FiberSet, Layer, Random } from "effect"
import { createHash } from "node:crypto"
import { ControlPlane } from "../../adapters/kube/plane/ControlPlane.ts"
import { EdgeDevices } from "../../core/device/EdgeDevice.ts"
import { ConfigMaps, type KubeEvent, Secrets } from "../../core/kube/kinds.ts"
import { KubeApi } from "../../core/kube/KubeApi.ts"
import { readmitAnnotation } from "../../core/operator/deviceAdmission.ts"
import { releaseOrphansAnnotation } from "../../core/operator/devicePods.ts"
import { OperatorSettings } from "../../core/operator/OperatorSettings.ts"
import { worldMillis } from "../fakes/worldClock.ts"
import { holderOf, tellApi } from "./apiDiary.ts"
import { glance, makeAttendance } from "./attendance.ts"
import { idlersFibers, leftStreams, muchWritten, overBounds } from "./bounds.ts"
import { makeBrokers } from "./brokers.ts"
import { watchBudgets } from "./budgets.ts"
import type { Counts } from "./coverage.ts"
import { keys, makeDeeds, served, settings } from "./deeds.ts"
import { devicesTold, type Diary, emptyDiary } from "./diary.ts"
import { makeErrands } from "./errands.ts"
import { makeApiWeather } from "./faults/ApiWeather.ts"
import { diceFrom, diceOf } from "./faults/Dice.ts"
import type { Victims } from "./faults/Episode.ts"
import { episodes, harms, healEverything } from "./faults/episodes.ts"
import { makeGhost } from "./ghost.ts"
import { type HostClock, makeHostClock } from "./HostClock.ts"
import {
  firstColour,
  mainContainerTold,
  stillness,
  unsettled,
  Violation,
  watchApi,
  watchDevices,
  watchStarts
} from "./invariants.ts"
import { judgeEpochs, judgeGraces, judgePlaces, judgeRuns } from "./judgement.ts"
import { isRunning, type Known } from "./known.ts"
import { withLivesTold } from "./lives.ts"
import { makeMethods } from "./methods.ts"
import { makePartitions } from "./partitions.ts"
import { type Plan, planOf, type PlanOptions } from "./plan.ts"
import { profileOf } from "./profiles.ts"
import { listening } from "./programLogs.ts"
import { makeScrapes, minInterval } from "./scrapes.ts"
import { strayEndpoints } from "./services.ts"
import { hostOfDevice, type SizeName, sizeOf, skewOf } from "./sizes.ts"
import { answeredInPeace, makeDoor, makeReaders } from "./streams.ts"
import { inOrder, lineOf, type TraceEvent } from "./trace.ts"
import { uniform } from "./uniform.ts"
import { simulate, type VirtualTime } from "./VirtualTime.ts"
import { directly } from "./ways.ts"
import { images, lifeOf } from "./workload.ts"
import { clientWithFaults, createNamespaces, makeDevice, makeOperator, worldLayerWith } from "./World.ts"

export interface StormOptions extends PlanOptions {
  readonly logs?: boolean
  /** Instead of the one drawn from the seed. */
  readonly plan?: Plan
}

export interface StormResult {
  readonly seed: number
  readonly size: SizeName
  readonly profile: string
  /** How often each fault fired, and each rule was put to the test. */
  readonly counts: Counts
  readonly failure: string | undefined
  /** Of the whole story. */
  readonly hash: string
  /** Lines of everybody, `seconds who what`, in the order of time. */
  readonly story: ReadonlyArray<string>
  /** What the story tells, for machines. */
  readonly events: ReadonlyArray<TraceEvent>
  readonly deviceSeconds: number
}

/** Longest time between the healing and peace: the longest back-offs of link, images and crashes, one after another. */
const patience = { millis: 25 * 60_000, step: 5_000 }

const program = (plan: Plan, diary: Diary, time: VirtualTime, shown: boolean) =>
  Effect.gen(function*() {
    const plane = yield* ControlPlane
    const api = yield* KubeApi
    const dice = diceOf(yield* Random.Random)
    diary.start = time.start
    const tell = (actor: string, text: string, kind: TraceEvent["kind"] = "note") => {
      const at = (time.now - time.start) / 1000
      diary.now = at
      diary.events.push({ at, actor, kind, text })
    }
    const note = (what: string, kind?: TraceEvent["kind"]) => Effect.sync(() => tell("storm", what, kind))
    const violated = (what: string) => {
      tell("VIOLATION", what, "violation")
      diary.violations.push(what)
    }

    const { count } = diary.coverage
    yield* createNamespaces
    const clocks = new Map<string, HostClock>(
      plan.devices.map((number) =>
        [`edge-${number}`, makeHostClock(time, skewOf(plan.seed, hostOfDevice(number)))] as const
      )
    )
    const known = new Map<string, Known>()
    const rests = new Map<string, number>()
    const deaths = new Map<string, Array<number>>()
    const stores = plan.deeds.some(({ what }) => what === "partition")
    const sets = stores || plan.deeds.some(({ what }) => what === "replaceOwned")
    const partitions = makePartitions({ plane, known, count, violated })
    const holdsNow = (name: string) =>
      holderOf(plane.world.store.get("edgedevices.aranya.arhat.dev", "edge", name)?.object)?.holder
    const brokers = plan.ways.length === 0
      ? undefined
      : yield* makeBrokers({ count, note, violated, holderOf: holdsNow })
    const methods = yield* makeMethods({ count, deaths, note, violated })
    diary.heard = (name, text) => {
      methods.heard(name, text)
      if (text.includes("workloads rest until")) rests.set(name, (rests.get(name) ?? 0) + 1)
    }
    const waysOf = new Map(plan.ways.map(({ device, methods }) => [device, methods]))
    const devices = yield* Effect.forEach(
      plan.devices,
      (number) =>
        makeDevice(
          `edge-${number}`,
          number,
          (why) => Effect.sync(() => violated(`the agent of edge-${number} died: ${why}`)),
          undefined,
          clocks.get(`edge-${number}`)?.clock,
          (direct) =>
            partitions.watch(
              `edge-${number}`,
              methods.watch(
                `edge-${number}`,
                brokers?.reach(`edge-${number}`, waysOf.get(number))(direct) ?? directly(direct)
              )
            )
        ).pipe(Effect.map((device) => ({
          ...device,
          agent: withLivesTold(device.agent, (text, kind) => {
            partitions.lives(device.name, kind === "began", time.now)
            if (kind !== "began") deaths.set(device.name, [...deaths.get(device.name) ?? [], time.now])
            tell(`${device.name}/agent`, text, kind)
          })
        })))
    )
    diary.devices = devices
    const numbered = new Map(plan.devices.map((number, i) => [number, devices[i]!]))
    const printed = new Map<string, number>()
    const hosts = ["operator", "second"].slice(0, plan.operators).map((name, host) => ({
      name,
      door: makeDoor(),
      clock: makeHostClock(time, skewOf(plan.seed, host))
    }))
    const budgets = watchBudgets(
      plane,
      (name) => {
        const device = devices.find((each) => each.name === name)
        return device === undefined ? 0 : Effect.runSync(device.transport.traffic).toDevice.bytes
      },
      count,
      violated
    )
    const { refused } = budgets
    const calm = plan.deeds.every(({ what }) => episodes[what] === undefined)
    // Of two operators one does not have the device, and says so.
    const asking = { calm: calm && plan.operators === 1, count, note, refused, violated }
    const readers = yield* makeReaders(hosts.map(({ door }) => door), printed, {
      ...asking,
      told: (each) => mainContainerTold(plane, each)
    })
    methods.begin({
      devices,
      holderOf: holdsNow,
      streamsOf: readers.reading
    })
    const errands = yield* makeErrands(hosts.map(({ door }) => door), asking)
    const scrapes = yield* makeScrapes(hosts.map(({ door }) => door), { ...asking, budgetOf: budgets.metricsOf })
    const { deeds, unheard } = yield* makeDeeds({
      plane,
      devices,
      known,
      room: plan.pods * devices.length,
      sets,
      stores,
      calm,
      now: () => time.now,
      note,
      named: (uid, name) => diary.names.set(uid, name),
      read: readers.read,
      run: errands.run,
      forward: errands.forward,
      scrape: scrapes.scrape
    })
    const forgetful = new Map<string, ReadonlyArray<number>>()
    const attendance = makeAttendance()
    watchApi(plane, known, forgetful, attendance.within, () => time.now, count, violated)
    tellApi(plane, tell)
    watchDevices(plane, count, violated)
    for (const device of devices) yield* watchStarts(device, known, count, violated)
    const version = () => plane.world.store.version
    // An hour after it was told, an Event goes by itself.
    let expired = 0
    /** Devices of which it was told that most of their pods are gone from the API. */
    const holdingOrphans = new Set<string>()
    plane.world.store.listen("events", "all", ({ revision: { object }, type }) => {
      const { involvedObject, reason } = object as unknown as KubeEvent
      if (type === "DELETED") expired += 1
      else if (reason === "OrphansHeld") holdingOrphans.add(involvedObject?.name ?? "")
    })
    const apis = hosts.map(() => makeApiWeather(dice, version, count))
    let begun = 0
    const operators = yield* Effect.forEach(hosts, ({ clock, door, name }, host) =>
      Effect.gen(function*() {
        const operatorApi = yield* Layer.build(Layer.fresh(clientWithFaults(apis[host]!.draw)))
        return door.guard(withLivesTold(
          yield* makeOperator(
            devices,
            (why) => Effect.sync(() => violated(`the operator ${name} died: ${why}`)),
            door.beside,
            name,
            clock.clock,
            brokers?.host(name)
          ).pipe(Effect.provideContext(operatorApi)),
          (text, kind) => {
            if (kind === "began") begun += 1
            tell(`${name}/process`, text, kind)
          }
        ))
      }))
    const victims: Victims = {
      dice,
      devices,
      operators,
      clocks: {
        of: ({ name }) => clocks.get(name)!,
        operators: hosts.map(({ clock, name }) => ({ name, ...clock }))
      },
      apis,
      version,
      compact: Effect.sync(() => {
        const { store } = plane.world
        for (const name of store.collections) store.collection(name).forgotten = store.version
      }),
      ghost: yield* makeGhost,
      brokers,
      note,
      forgetful,
      count: diary.coverage.count,
      readmit: ({ name }) =>
        Effect.ignore(api.patch(EdgeDevices, { namespace: "edge", name }, {
          type: "merge",
          body: { metadata: { annotations: { [readmitAnnotation]: "true" } } }
        }))
    }

    for (const device of devices) {
      yield* device.runtime.script(() => true, (spec) => ({ ...lifeOf(printed)(spec), ...errands.script }))
      for (const image of images) yield* device.runtime.image(image, { pullTakes: "2 seconds" })
    }
    yield* api.create(Secrets, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { namespace: "edge", name: "keys" },
      data: keys()
    })
    if (plan.settings) yield* api.create(ConfigMaps, settings(firstColour))

    for (const operator of operators) yield* operator.start
    for (const device of devices) yield* api.create(EdgeDevices, device.object())
    yield* overBounds(devices, operators, plan.pods * devices.length, count).pipe(
      Effect.map((found) => found.forEach(violated)),
      Effect.andThen(stores ? partitions.look(devices) : Effect.void),
      Effect.andThen(Effect.sync(() => {
        for (const [host, { door, name }] of hosts.entries()) {
          const { frozen, mood } = apis[host]!
          attendance.note(name, door.open() !== undefined && mood.chance === 0 && frozen === undefined, time.now)
        }
      })),
      Effect.andThen(Effect.sleep(glance)),
      Effect.forever,
      Effect.forkScoped
    )
    const under = yield* FiberSet.make()
    for (const [number, device] of numbered) {
      const late = plan.late.find((each) => each.device === number)
      // Some devices come late; their pods wait.
      if (late === undefined) yield* device.agent.start
      else yield* Effect.andThen(Effect.sleep(late.millis), device.agent.start).pipe(FiberSet.run(under))
    }
    yield* Effect.sleep(plan.calm)

    // The storm.
    const began = time.now
    const until = (millis: number) => Effect.sleep(Duration.millis(Math.max(0, began + millis - time.now)))
    for (const [i, { at, device: number, seed, what }] of plan.deeds.entries()) {
      if (at >= plan.lasts) break
      yield* until(at)
      const device = numbered.get(number)
      if (device === undefined) continue
      const own = diceFrom(uniform(seed))
      const deed = deeds[what]
      if (deed !== undefined) {
        count(`deed: ${what}`)
        yield* deed(own, device).pipe(Effect.catch((error) => note(`is refused: ${error.message}`)))
        continue
      }
      const episode = episodes[what]
      if (episode === undefined) return yield* Effect.die(new Error(`nobody knows how to do ${what}`))
      const name = `#${i + 1} ${what} at ${device.name}`
      yield* note(name, "began")
      yield* FiberSet.run(
        under,
        episode({ ...victims, dice: own }, device).pipe(Effect.ensuring(note(`${name} is over`, "ended")))
      )
    }
    yield* until(plan.lasts)
    yield* FiberSet.clear(under)
    yield* note("peace")
    yield* healEverything(victims)
    if (plan.lame) {
      yield* methods.lame(dice, plan.calm + plan.lasts, (device) => {
        const speaker = [...known.values()].find((each) =>
          each.device === device && !each.deleted && each.recipe.name === "talking"
        )
        return speaker === undefined ? Effect.void : readers.read(speaker, dice, true)
      })
    }
    if (known.size > 0) yield* Effect.ignore(api.create(ConfigMaps, settings(firstColour)))

    /** Hours in which nobody does anything: no process begins or ends, no status changes, but of what crashes by itself, and Leases are all that is written. */
    const quietly = Effect.fnUntraced(function*(millis: number) {
      const steady = [...known.values()].filter(({ deleted, outcome }) => !deleted && outcome !== "crashes")
      const before = stillness(plane, steady)
      yield* note(`quiet for ${Math.round(millis / 1000)} s`)
      const writtenBefore = version() - expired
      const living = [...known.values()].filter(({ deleted }) => !deleted)
      const openOf = (device: string) => readers.reading(device).length
      for (const what of idlersFibers(devices, operators, living, openOf, count)) violated(what)
      yield* Effect.sleep(Duration.millis(millis))
      for (const what of idlersFibers(devices, operators, living, openOf, count)) violated(what)
      for (const what of muchWritten(version() - expired - writtenBefore, millis, living, devices, count)) {
        violated(what)
      }
      const after = stillness(plane, steady)
      for (const [i, seen] of after.entries()) {
        if (seen !== before[i]) violated(`in quiet, ${steady[i]?.name} changes from ${before[i]} to ${seen}`)
      }
    })

    let wrong: ReadonlyArray<string> = ["never looked"]
    const healed = time.now
    const settle = Effect.gen(function*() {
      do {
        yield* Effect.sleep(Duration.millis(patience.step))
        wrong = [
          ...yield* unsettled(plane, [...known.values()], devices),
          ...unheard(),
          ...sets ? strayEndpoints(plane, served, [...known.values()]) : [],
          ...methods.unsettled(),
          ...stores ? partitions.unsettled() : []
        ]
        if (time.now - healed > 60_000) {
          // What was held back, for being more than half of a device, may go; who is made anew is told by whoever does it. Nobody
          // else is told: it has all pods of the device looked at, and would hide what has been forgotten.
          for (const name of holdingOrphans) {
            holdingOrphans.delete(name)
            const body = { metadata: { annotations: { [releaseOrphansAnnotation]: "true" } } }
            yield* api.patch(EdgeDevices, { namespace: "edge", name }, { type: "merge", body }).pipe(
              Effect.catchIf(({ reason }) => reason === "NotFound", () => Effect.void)
            )
          }
        }
      } while (wrong.length > 0 && time.now - healed < patience.millis)
    })
    yield* settle
    if (wrong.length === 0) yield* note(`all is well ${Math.round((time.now - healed) / 1000)} s after the storm`)
    // What was broken in silence, such as a sandbox, comes out at the next look that a device takes at its engine, and a connection
    // that went dark when its session has nothing more to say: all has to be well for a while.
    for (let waited = Infinity; wrong.length === 0 && waited > 2 * patience.step;) {
      yield* Effect.sleep("2 minutes")
      const since = time.now
      yield* settle
      waited = time.now - since
    }
    if (wrong.length === 0) {
      for (const device of devices) {
        const [one] = [...known.values()].filter((each) =>
          each.device === device && !each.deleted && each.outcome === "runs" && isRunning(each)
        )
        const holder = holdsNow(device.name)
        const host = hosts.find(({ name }) => holder?.startsWith(`${name}-`) === true)
        if (one !== undefined && host !== undefined) yield* errands.demand(one, dice, host.door)
        if (host !== undefined) yield* scrapes.demand(device, host.door)
        if (one !== undefined && host === undefined) violated(`nobody holds ${device.name}, and all is well`)
        // In a storm few denials last: what else ends a connection meanwhile excuses it.
        const connection = brokers?.overheard(device.name)?.id
        if (brokers !== undefined && connection !== undefined) yield* brokers.denies(device.name, connection)
      }
      yield* Effect.sleep(answeredInPeace + patience.step)
    }
    yield* unsettled(plane, [...known.values()], devices, count)
    if (sets) strayEndpoints(plane, served, [...known.values()], count)
    readers.judge(time.now)
    errands.judge(time.now)
    methods.judge()
    if (stores) partitions.judge()
    if (plan.deeds.some(({ what }) => what === "budget")) budgets.judge(devices, begun === 1)
    for (const what of wrong) violated(`${patience.millis / 60_000} minutes after the storm: ${what}`)
    if (wrong.length === 0) yield* quietly(Math.max(60_000, plan.life - (time.now - time.start)))
    diary.now = (time.now - time.start) / 1000
    const programs = [
      ...operators.map((each, i) => [hosts[i]!.name, each] as const),
      ...devices.map(({ agent, name }) => [name, agent] as const)
    ]
    for (const what of leftStreams(programs, readers.open(), count)) violated(what)
    yield* readers.leave
    const excuses = { deaths, forgetful, rests }
    for (const what of judgePlaces(devices, known, excuses, count)) violated(what)
    for (const what of judgeRuns(known.values(), excuses, count)) violated(what)
    const harmed = new Set(plan.deeds.flatMap(({ device, what }) => harms(what) ? numbered.get(device) ?? [] : []))
    for (const what of judgeGraces(devices, known, { deaths, harmed }, yield* worldMillis, count)) violated(what)
    for (const what of judgeEpochs(devices, forgetful, count)) violated(what)
  }).pipe(
    Effect.scoped,
    Effect.provideServiceEffect(
      OperatorSettings,
      Effect.map(OperatorSettings, (settings) => ({ ...settings, metricsMinInterval: minInterval }))
    ),
    Effect.provide(worldLayerWith(plan.ciphers)),
    Effect.orDie,
    listening({
      tell: (actor, text) => {
        diary.events.push({ at: (time.now - time.start) / 1000, actor, kind: "note", text })
      },
      violated: (what) => {
        const at = (time.now - time.start) / 1000
        diary.events.push({ at, actor: "VIOLATION", kind: "violation", text: what })
        diary.violations.push(what)
      },
      count: diary.coverage.count,
      heard: (actor, text) => diary.heard(actor, text),
      deeds: new Set(plan.deeds.map(({ what }) => what)),
      shown
    })
  )

export const storm = (options: StormOptions): Effect.Effect<StormResult> =>
  Effect.gen(function*() {
    const plan = options.plan ?? planOf(options)
    const diary = emptyDiary()
    const exit = yield* Effect.exit(
      simulate(plan.seed, (time) => program(plan, diary, time, options.logs ?? false), {
        limit: "3 hours",
        logs: options.logs ?? false
      })
    )
    if (Exit.isFailure(exit)) diary.violations.unshift(Cause.pretty(exit.cause))
    const events = inOrder([...diary.events, ...devicesTold(diary)])
    const story = events.map(lineOf)
    return {
      seed: plan.seed,
      size: options.size ?? sizeOf(plan.seed),
      profile: options.profile ?? profileOf(plan.seed),
      counts: diary.coverage.counts,
      failure: diary.violations.length === 0 ? undefined : diary.violations.join("\n"),
      hash: createHash("sha256").update(story.join("\n")).digest("hex"),
      story,
      events,
      deviceSeconds: Math.round(diary.now) * plan.devices.length
    }
  })

export { Violation }
