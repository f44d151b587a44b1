/**
 * One storm: a fleet under a workload that comes and goes, faults drawn from the seed, then peace; afterwards what the API says
 * must be what the devices do. The same seed tells the same story to the last line.
 */
import { Cause, Duration, Effect, Exit, FiberSet, Layer, Random } from "effect"
import { createHash } from "node:crypto"
import { ControlPlane } from "../../adapters/kube/plane/ControlPlane.ts"
import { EdgeDevices } from "../../core/device/EdgeDevice.ts"
import { type ConfigMap, ConfigMaps, Secrets } from "../../core/kube/kinds.ts"
import { KubeApi } from "../../core/kube/KubeApi.ts"
import { Pods } from "../../core/kube/Pod.ts"
import { releaseOrphansAnnotation } from "../../core/operator/devicePods.ts"
import { type Dice, diceOf, episodes, healEverything, makeApiWeather, profiles, type Victims } from "./faults.ts"
import { judgeRuns, type Known, unsettled, Violation, watchApi } from "./invariants.ts"
import { ciphersOf, type Size, type SizeName, sizeOf, sizes } from "./sizes.ts"
import { simulate, type VirtualTime } from "./VirtualTime.ts"
import { lifeOf, recipes } from "./workload.ts"
import { type Ciphers, clientWithFaults, createNamespaces, makeDevice, makeOperator, worldLayerWith } from "./World.ts"

export interface StormOptions {
  readonly seed: number
  readonly profile?: string
  /** Drawn from the seed unless given. */
  readonly size?: SizeName
  /** Drawn from the seed unless given. */
  readonly ciphers?: Ciphers
  readonly logs?: boolean
}

export interface StormResult {
  readonly seed: number
  readonly size: SizeName
  readonly failure: string | undefined
  /** Of the whole story. */
  readonly hash: string
  /** Lines of everybody, `seconds who what`, in the order of time. */
  readonly story: ReadonlyArray<string>
  readonly virtualSeconds: number
}

/** Longest time between the healing and peace: the longest back-offs of link, images and crashes, one after another. */
const patience = { millis: 25 * 60_000, step: 5_000 }

const lateComing = ({ between }: Dice) => Effect.sleep(Duration.millis(between(60_000, 500_000)))

interface Diary {
  readonly lines: Array<{ readonly at: number; readonly order: number; readonly text: string }>
  readonly violations: Array<string>
  now: number
}

const program = (options: StormOptions, diary: Diary, time: VirtualTime) =>
  Effect.gen(function*() {
    const plane = yield* ControlPlane
    const api = yield* KubeApi
    const dice = diceOf(yield* Random.Random)
    const tell = (who: string, what: string) => {
      const at = (time.now - time.start) / 1000
      diary.now = at
      diary.lines.push({ at, order: diary.lines.length, text: `${who} ${what}` })
    }
    const note = (what: string) => Effect.sync(() => tell("storm", what))
    const violated = (what: string) => {
      tell("VIOLATION", what)
      diary.violations.push(what)
    }

    yield* createNamespaces
    const size: Size = sizes[options.size ?? sizeOf(options.seed)]
    const fleet = Array.from({ length: size.devices }, (_, i) => i + 1)
    const devices = yield* Effect.forEach(
      fleet,
      (number) =>
        makeDevice(`edge-${number}`, number, (why) =>
          Effect.sync(() =>
            violated(`the agent of edge-${number} died: ${why}`)
          ))
    )
    const known = new Map<string, Known>()
    watchApi(plane, known, violated)
    for (const collection of ["pods", "nodes", "edgedevices.aranya.arhat.dev"]) {
      plane.world.store.listen(collection, "all", ({ revision: { object }, type }) => {
        const { metadata, status } = object as { metadata: Record<string, unknown>; status?: { phase?: string } }
        tell(
          "api",
          `${type} ${collection} ${metadata["name"]} ${metadata["resourceVersion"]} ${
            collection !== "pods" ? "" : `${status?.phase} ${JSON.stringify(statusWords(object))}`
          }${metadata["deletionTimestamp"] === undefined ? "" : " (deleting)"}`
        )
      })
    }
    const weather = makeApiWeather(dice)
    const operatorApi = yield* Layer.build(clientWithFaults(weather.draw))
    const operator = yield* makeOperator(
      devices,
      (why) => Effect.sync(() => violated(`the operator died: ${why}`))
    ).pipe(Effect.provideContext(operatorApi))
    const victims: Victims = { dice, devices, operator, api: weather, note, emptied: new Set() }

    for (const device of devices) {
      yield* device.runtime.script(() => true, lifeOf)
      yield* device.runtime.image("busybox:1.36", { pullTakes: "2 seconds" })
    }
    const settings = (colour: string): ConfigMap => ({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { namespace: "edge", name: "settings" },
      data: { colour }
    })
    yield* api.create(Secrets, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { namespace: "edge", name: "keys" },
      data: { key: "c2VjcmV0" }
    })
    // Half of the storms begin without what their pods refer to.
    if (dice.chance() < 0.5) yield* api.create(ConfigMaps, settings("red"))

    yield* operator.start
    for (const device of devices) yield* api.create(EdgeDevices, device.object())
    const under = yield* FiberSet.make()
    for (const device of devices) {
      // Some devices come late; their pods wait.
      if (dice.chance() < 0.15) yield* Effect.andThen(lateComing(dice), device.agent.start).pipe(FiberSet.run(under))
      else yield* device.agent.start
    }
    yield* Effect.sleep(Duration.millis(dice.between(0, 20_000)))

    const create = Effect.fnUntraced(function*(name: string, device = dice.pick(devices), recipe = dice.pick(recipes)) {
      const pod = yield* api.create(Pods, {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { namespace: "edge", name },
        spec: { ...recipe.spec(dice.chance), nodeName: device.name }
      })
      const uid = pod.metadata.uid ?? ""
      policies.set(uid, pod.spec.restartPolicy ?? "Always")
      known.set(uid, {
        uid,
        name: `${name} (${recipe.name}, ${uid.slice(0, 4)})`,
        device,
        recipe,
        deleted: false,
        forced: false
      })
      places.set(uid, name)
      yield* note(`creates ${name} as ${uid.slice(0, 4)}, ${recipe.name} on ${device.name}`)
    })
    const policies = new Map<string, string>()
    const places = new Map<string, string>()
    let pods = 0
    const alive = () => [...known.values()].filter(({ deleted }) => !deleted)

    const remove = Effect.fnUntraced(function*(each: Known, forced: boolean) {
      const name = places.get(each.uid) ?? ""
      yield* note(`deletes ${each.name}${forced ? " by force" : ""}`)
      each.deleted = true
      each.forced ||= forced
      yield* api.delete(Pods, { namespace: "edge", name }, {
        uid: each.uid,
        ...(forced ? { gracePeriodSeconds: 0 } : {})
      })
    })

    const change = Effect.gen(function*() {
      const draw = dice.chance()
      const living = alive()
      if (living.length < size.pods[1] * devices.length && draw < 0.5) return yield* create(`pod-${++pods}`)
      if (living.length === 0) return
      const victim = dice.pick(living)
      if (draw < 0.7) return yield* remove(victim, false)
      if (draw < 0.8) {
        yield* remove(victim, true)
        return yield* create(places.get(victim.uid) ?? "", dice.chance() < 0.7 ? victim.device : dice.pick(devices))
      }
      if (draw < 0.85) {
        // First asked politely, then by force.
        yield* remove(victim, false)
        yield* Effect.sleep(Duration.millis(dice.between(0, 20_000)))
        return yield* Effect.ignore(remove(victim, true))
      }
      const colour = dice.pick(["red", "green", "blue"])
      yield* note(`paints it ${colour}`)
      yield* api.patch(ConfigMaps, { namespace: "edge", name: "settings" }, {
        type: "merge",
        body: { data: { colour } }
      })
        .pipe(Effect.catch(() => api.create(ConfigMaps, settings(colour))), Effect.asVoid)
    })

    for (const device of devices) for (let i = 0; i < size.pods[0]; i++) yield* create(`pod-${++pods}`, device)

    // The storm.
    const drawn = profiles[options.profile ?? "everything"] ?? []
    const until = time.now + dice.between(...size.storm)
    while (time.now < until) {
      yield* Effect.sleep(Duration.millis(dice.between(...size.pause)))
      if (dice.chance() < 0.4) {
        yield* change.pipe(Effect.catch((error) => note(`is refused: ${error.message}`)))
      } else if (drawn.length > 0) {
        const fault = dice.pick(drawn)
        const device = dice.pick(devices)
        yield* note(`${fault} at ${device.name}`)
        yield* FiberSet.run(
          under,
          Effect.andThen(episodes[fault]!(victims, device), note(`${fault} at ${device.name} is over`))
        )
      }
    }
    yield* FiberSet.clear(under)
    yield* note("peace")
    yield* healEverything(victims)
    if (known.size > 0) yield* Effect.ignore(api.create(ConfigMaps, settings("red")))

    let wrong: ReadonlyArray<string> = ["never looked"]
    let released = false
    const healed = time.now
    while (wrong.length > 0 && time.now - healed < patience.millis) {
      yield* Effect.sleep(Duration.millis(patience.step))
      wrong = yield* unsettled(plane, [...known.values()], devices)
      if (!released && time.now - healed > 60_000) {
        released = true
        // What was held back, for being more than half of a device, may go.
        for (const { name } of devices) {
          yield* api.patch(EdgeDevices, { namespace: "edge", name }, {
            type: "merge",
            body: { metadata: { annotations: { [releaseOrphansAnnotation]: "true" } } }
          })
        }
      }
    }
    for (const what of wrong) violated(`${patience.millis / 60_000} minutes after the storm: ${what}`)
    if (wrong.length === 0) {
      yield* note(`all is well ${Math.round((time.now - healed) / 1000)} s after the storm`)
      // And so it stays.
      yield* Effect.sleep("2 minutes")
    }
    for (const what of judgeRuns(known.values(), victims.emptied, (uid) => policies.get(uid))) violated(what)

    for (const device of devices) {
      for (const line of yield* device.transport.diary) add(diary, time, `${device.name}/link`, line)
      for (const line of yield* device.runtime.diary) add(diary, time, `${device.name}/engine`, line)
      for (const line of yield* device.journal.diary) {
        diary.lines.push({ at: Infinity, order: diary.lines.length, text: `${device.name}/journal ${line}` })
      }
    }
  }).pipe(Effect.scoped, Effect.provide(worldLayerWith(options.ciphers ?? ciphersOf(options.seed))), Effect.orDie)

const statusWords = (object: unknown): unknown =>
  ((object as { status?: { containerStatuses?: ReadonlyArray<Record<string, unknown>> } }).status?.containerStatuses ??
    [])
    .map(({ name, restartCount, state }) => `${name}#${restartCount} ${Object.keys(state as object)[0]}`)

/** A line of an actor's own diary, which begins with the second it was written in. */
const add = (diary: Diary, time: VirtualTime, who: string, line: string): void => {
  const [stamp = "", ...rest] = line.split(" ")
  const at = Math.round(Number(stamp.slice(0, -1)) * 1000 - time.start) / 1000
  diary.lines.push({ at, order: diary.lines.length, text: `${who} ${rest.join(" ")}` })
}

export const storm = (options: StormOptions): Effect.Effect<StormResult> =>
  Effect.gen(function*() {
    const diary: Diary = { lines: [], violations: [], now: 0 }
    const exit = yield* Effect.exit(
      simulate(options.seed, (time) => program(options, diary, time), { limit: "3 hours", logs: options.logs ?? false })
    )
    const story = diary.lines
      .toSorted((a, b) => a.at - b.at || a.order - b.order)
      .map(({ at, text }) => `${Number.isFinite(at) ? `${at}s` : "-"} ${text}`)
    if (Exit.isFailure(exit)) diary.violations.unshift(Cause.pretty(exit.cause))
    return {
      seed: options.seed,
      size: options.size ?? sizeOf(options.seed),
      failure: diary.violations.length === 0 ? undefined : diary.violations.join("\n"),
      hash: createHash("sha256").update(story.join("\n")).digest("hex"),
      story,
      virtualSeconds: Math.round(diary.now)
    }
  })

export { Violation }
