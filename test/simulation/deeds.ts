/** What owners and users do while it storms: pods, configuration and devices come, change and go. To add a workload, write it into the table. */
import { type Context, Duration, Effect, FiberSet, Schema } from "effect"
import type { ControlPlane } from "../../adapters/kube/plane/ControlPlane.ts"
import { EdgeDevices } from "../../core/device/EdgeDevice.ts"
import { type ConfigMap, ConfigMaps, Secrets, Services } from "../../core/kube/kinds.ts"
import { KubeApi, type KubeApiError } from "../../core/kube/KubeApi.ts"
import type { KubeResource } from "../../core/kube/KubeResource.ts"
import type { KubeObject } from "../../core/kube/ObjectMeta.ts"
import { type Pod, Pods } from "../../core/kube/Pod.ts"
import { releaseOrphansAnnotation } from "../../core/operator/devicePods.ts"
import type { Dice } from "./faults/Dice.ts"
import { isRunning, type Known } from "./known.ts"
import { policies, policyPatch } from "./partitions.ts"
import { serviceOf } from "./services.ts"
import { beginnings, images, type Recipe, recipes, secretText } from "./workload.ts"
import type { SimulatedDevice } from "./World.ts"

export type Deed = (dice: Dice, device: SimulatedDevice) => Effect.Effect<void, KubeApiError>

const at = { namespace: "edge" }

export const settings = (colour: string): ConfigMap => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { namespace: "edge", name: "settings" },
  data: { colour }
})

/** What the Secret says; each text of it can be told from everything else. */
export const keys = (end = "") => ({ key: Buffer.from(secretText + end).toString("base64") })

type SetKind = "DaemonSet" | "ReplicaSet" | "StatefulSet"
const sets = (kind: SetKind, plural: string): KubeResource<KubeObject> => ({
  group: "apps",
  version: "v1",
  kind,
  plural,
  namespaced: true,
  schema: Schema.Any as unknown as KubeResource<KubeObject>["schema"]
})
const ReplicaSets = sets("ReplicaSet", "replicasets")
const DaemonSets = sets("DaemonSet", "daemonsets")
const StatefulSets = sets("StatefulSet", "statefulsets")
const steady = recipes[0]!

/** The ReplicaSet that has a Service. */
export const served = "somewhere"

const setOf = (kind: SetKind, name: string, replicas?: number) => ({
  apiVersion: "apps/v1",
  kind,
  metadata: { namespace: "edge", name },
  spec: {
    ...(replicas === undefined ? {} : { replicas }),
    ...(kind === "StatefulSet" ? { serviceName: name } : {}),
    selector: { matchLabels: { set: name } },
    template: {
      metadata: { labels: { set: name } },
      spec: {
        ...steady.spec(() => 0),
        // The address of a device is one that others could reach.
        ...(name === served ? { hostNetwork: true } : {}),
        nodeSelector: { "arhat.dev/role": "EdgeDevice" },
        tolerations: [{ key: "arhat.dev/namespace", operator: "Exists" }]
      }
    }
  }
})

/** Everything that is known of the fleet and its pods, and all that can be done to them. */
export const makeDeeds = Effect.fnUntraced(function*(world: {
  readonly plane: Context.Service.Shape<typeof ControlPlane>
  readonly devices: ReadonlyArray<SimulatedDevice>
  readonly known: Map<string, Known>
  /** Pods of all devices that may live at once, on average. */
  readonly room: number
  /** Whether controllers make pods, too. */
  readonly sets: boolean
  /** And also pods of which there must never be two. */
  readonly stores: boolean
  /** In calm, pods of a deleted device end before they leave the API. */
  readonly calm: boolean
  /** Milliseconds of the world's clock. */
  readonly now: () => number
  readonly note: (what: string) => Effect.Effect<void>
  readonly named: (uid: string, name: string) => void
  readonly read: (known: Known, dice: Dice) => Effect.Effect<void>
  readonly run: (known: Known, dice: Dice) => Effect.Effect<void>
  readonly forward: (known: Known, dice: Dice) => Effect.Effect<void>
  readonly scrape: (device: SimulatedDevice, dice: Dice) => Effect.Effect<void>
}) {
  const { devices, known, note, plane } = world
  const api = yield* KubeApi
  const owners = yield* FiberSet.make()
  /** Devices whose EdgeDevice is deleted and not made anew yet. */
  const absent = new Set<string>()
  const colours = new Map<string, string>()
  let pods = 0

  const learn = (pod: Pod, recipe: Recipe, device: SimulatedDevice, owner?: string) => {
    const owned = owner !== undefined
    const uid = pod.metadata.uid ?? ""
    const place = pod.metadata.name ?? ""
    known.set(uid, {
      uid,
      name: `${place} (${recipe.name}, ${uid.slice(0, 4)})`,
      place,
      born: world.now(),
      device,
      recipe,
      policy: pod.spec.restartPolicy ?? "Always",
      begins: new Map(
        [...pod.spec.initContainers ?? [], ...pod.spec.containers].map((each) => [
          each.name,
          beginnings(pod.spec, each.command ?? [])
        ])
      ),
      inits: new Set((pod.spec.initContainers ?? []).map((each) => each.name)),
      outcome: recipe.outcome,
      image: images[0],
      edits: 0,
      shortened: false,
      owned,
      owner,
      mayGo: owned && absent.has(device.name),
      deleted: false,
      forced: absent.has(device.name) && !world.calm,
      givenUp: false,
      overAt: undefined,
      goneAt: undefined
    })
    world.named(uid, place)
  }

  // Pods that controllers make are known from the moment on which they have a node.
  plane.world.store.listen("pods", "all", ({ revision, type }) => {
    const pod = revision.object as unknown as Pod
    const owner = pod.metadata.ownerReferences?.[0]?.kind
    const device = devices.find(({ name }) => name === pod.spec.nodeName)
    if (type === "DELETED" || device === undefined || known.has(pod.metadata.uid ?? "")) return
    if (owner === "DaemonSet" || owner === "ReplicaSet" || owner === "StatefulSet") learn(pod, steady, device, owner)
  })
  if (world.sets) {
    yield* api.create(DaemonSets, setOf("DaemonSet", "everywhere"))
    yield* api.create(ReplicaSets, setOf("ReplicaSet", served, devices.length))
    yield* api.create(Services, serviceOf(served))
  }
  if (world.stores) yield* api.create(StatefulSets, setOf("StatefulSet", "store", 2))

  const create = Effect.fnUntraced(
    function*(name: string, dice: Dice, device: SimulatedDevice, recipe = dice.pick(recipes)) {
      if (absent.has(device.name)) return yield* note(`makes no pod for ${device.name}, which is deleted`)
      const pod = yield* api.create(Pods, {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { namespace: "edge", name },
        spec: { ...recipe.spec(dice.chance), nodeName: device.name }
      })
      learn(pod, recipe, device)
      const uid = pod.metadata.uid ?? ""
      yield* note(`creates ${name} as ${uid.slice(0, 4)}, ${recipe.name} on ${device.name}`)
    }
  )

  const living = (fits: (each: Known) => boolean = ({ owned }) => !owned) =>
    [...known.values()].filter((each) => !each.deleted && fits(each))
  const one = (dice: Dice, fits?: (each: Known) => boolean) => {
    const found = living(fits)
    return found.length === 0 ? undefined : dice.pick(found)
  }

  const somewhereToRun = (each: Known) => !each.owned && isRunning(each)

  const remove = Effect.fnUntraced(function*(each: Known, forced: boolean) {
    yield* note(`deletes ${each.name}${forced ? " by force" : ""}`)
    each.deleted = true
    each.forced ||= forced
    yield* api.delete(Pods, { ...at, name: each.place }, {
      uid: each.uid,
      ...(forced ? { gracePeriodSeconds: 0 } : {})
    })
  })

  const edit = Effect.fnUntraced(function*(each: Known, what: string, spec: object) {
    yield* note(`${what} ${each.name}`)
    const pod = yield* api.get(Pods, { ...at, name: each.place })
    if (pod.metadata.uid !== each.uid) return false
    yield* api.patch(Pods, { ...at, name: each.place }, {
      type: "strategic",
      body: { metadata: { uid: each.uid }, spec }
    })
    return true
  })

  const editDevice = (name: string, body: object) => api.patch(EdgeDevices, { ...at, name }, { type: "merge", body })

  /** Makes it anew once nothing is left of it. */
  const remake = Effect.fnUntraced(function*(device: SimulatedDevice, pause: number) {
    const here = Effect.match(api.get(EdgeDevices, { ...at, name: device.name }), {
      onFailure: () => false,
      onSuccess: () => true
    })
    while (yield* here) yield* Effect.sleep("1 second")
    yield* Effect.sleep(Duration.millis(pause))
    const object = device.object()
    colours.delete(device.name)
    yield* api.create(EdgeDevices, {
      ...object,
      metadata: { ...object.metadata, annotations: { [releaseOrphansAnnotation]: "true" } }
    })
    while (plane.world.store.get("nodes", "", device.name) === undefined) yield* Effect.sleep("500 millis")
    absent.delete(device.name)
    yield* note(`${device.name} is made anew`)
  })

  /** Its owner comes back to it, and does other things meanwhile. */
  const later = (millis: number, deed: ReturnType<Deed>) =>
    FiberSet.run(owners, Effect.delay(Effect.catch(deed, (error) => note(`is refused: ${error.message}`)), millis))

  const deeds: Readonly<Record<string, Deed>> = {
    create: Effect.fnUntraced(function*(dice, device) {
      if (living().length < world.room) return yield* create(`pod-${++pods}`, dice, device)
      yield* remove(dice.pick(living()), false)
    }),
    delete: Effect.fnUntraced(function*(dice) {
      const victim = one(dice)
      if (victim !== undefined) yield* remove(victim, false)
    }),
    replace: Effect.fnUntraced(function*(dice, device) {
      const victim = one(dice)
      if (victim === undefined) return
      yield* remove(victim, true)
      yield* create(victim.place, dice, dice.chance() < 0.7 ? victim.device : device)
    }),
    deleteThenForce: Effect.fnUntraced(function*(dice) {
      const victim = one(dice)
      if (victim === undefined) return
      yield* remove(victim, false)
      yield* later(dice.between(0, 20_000), remove(victim, true))
    }),
    // Its namesake comes while the first still ends.
    deleteThenReplace: Effect.fnUntraced(function*(dice, device) {
      const victim = one(dice)
      if (victim === undefined) return
      yield* remove(victim, false)
      const pause = dice.between(0, dice.chance() < 0.7 ? 1_500 : 15_000)
      const place = dice.chance() < 0.8 ? victim.device : device
      yield* later(pause, Effect.andThen(Effect.ignore(remove(victim, true)), create(victim.place, dice, place)))
    }),
    paint: Effect.fnUntraced(function*(dice) {
      if (known.size === 0) return
      const colour = dice.pick(["red", "green", "blue"])
      yield* note(`paints it ${colour}`)
      yield* api.patch(ConfigMaps, { ...at, name: "settings" }, { type: "merge", body: { data: { colour } } })
        .pipe(Effect.catch(() => api.create(ConfigMaps, settings(colour))), Effect.asVoid)
      if (dice.chance() < 0.5) return
      yield* note(`turns the keys ${colour}`)
      yield* api.patch(Secrets, { ...at, name: "keys" }, { type: "merge", body: { data: keys(` ${colour}`) } })
    }),
    editImage: Effect.fnUntraced(function*(dice) {
      const victim = one(dice, ({ owned, recipe }) => !owned && recipe.outcome === "runs")
      if (victim === undefined) return
      const image = images.find((each) => each !== victim.image) ?? images[0]
      // Whether or not the answer comes, it may have been done.
      victim.edits += 1
      if (yield* edit(victim, `gives ${image} to`, { containers: [{ name: "main", image }] })) victim.image = image
    }),
    shorten: Effect.fnUntraced(function*(dice) {
      const victim = one(dice, ({ owned, recipe, shortened }) => !owned && !shortened && recipe.name === "steady")
      if (victim === undefined) return
      const seconds = dice.between(1, 60)
      if (!(yield* edit(victim, `grants ${seconds} s to`, { activeDeadlineSeconds: seconds }))) return
      victim.outcome = "ends"
      victim.shortened = true
    }),
    replaceOwned: Effect.fnUntraced(function*(dice) {
      const victim = one(dice, ({ mayGo, owned }) => owned && !mayGo)
      if (victim !== undefined) yield* remove(victim, dice.chance() < 0.3 && victim.owner !== "StatefulSet")
    }),
    editDevice: Effect.fnUntraced(function*(dice, { name }) {
      if (absent.has(name)) return
      const colour = dice.pick(["red", "green", "blue"])
      const allocatable = dice.between(20, 100)
      yield* note(`paints ${name} ${colour}, with room for ${allocatable} pods`)
      yield* editDevice(name, {
        spec: {
          connectivity: { timers: { unarySessionTimeout: `${dice.between(20, 90)}s` } },
          node: { labels: { colour } },
          pod: { allocatable }
        }
      })
      // Beside the workloads there is the host pod.
      colours.set(name, `${colour} ${allocatable + 1}`)
    }),
    budget: Effect.fnUntraced(function*(dice, { name }) {
      if (absent.has(name)) return
      const budget = {
        streams: dice.pick([0, 0, 500, 2_000, "1Mi", null]),
        control: dice.pick([1, 20_000, null]),
        metrics: dice.pick([0, 400, null])
      }
      yield* note(`grants ${name} ${JSON.stringify(budget)} a day`)
      yield* editDevice(name, { spec: { connectivity: { budget } } })
    }),
    scrape: (dice, device) => world.scrape(device, dice),
    partition: Effect.fnUntraced(function*(dice, { name }) {
      if (absent.has(name)) return
      const policy = dice.pick(policies)
      yield* note(`asks of ${name}, when it is away, ${JSON.stringify(policy)}`)
      yield* editDevice(name, { spec: { partition: policyPatch(policy) } })
    }),
    deleteDevice: Effect.fnUntraced(function*(dice, device) {
      if (absent.has(device.name)) return
      yield* note(`deletes EdgeDevice ${device.name}`)
      absent.add(device.name)
      for (const each of known.values()) {
        if (each.device !== device) continue
        // One that is away cannot be waited for.
        each.forced ||= !world.calm
        each.mayGo = true
        each.deleted ||= !each.owned
      }
      yield* api.delete(EdgeDevices, { ...at, name: device.name })
      yield* FiberSet.run(owners, Effect.orDie(remake(device, dice.between(0, 30_000))))
    }),
    follow: Effect.fnUntraced(function*(dice, device) {
      const talking = recipes.find(({ name }) => name === "talking")
      const speaker = one(dice, ({ recipe }) => recipe === talking)
      if (speaker === undefined) return yield* create(`pod-${++pods}`, dice, device, talking)
      yield* world.read(speaker, dice)
    }),
    run: Effect.fnUntraced(function*(dice, device) {
      const each = one(dice, somewhereToRun) ?? one(dice)
      yield* each === undefined ? create(`pod-${++pods}`, dice, device) : world.run(each, dice)
    }),
    forward: Effect.fnUntraced(function*(dice, device) {
      const each = one(dice, somewhereToRun) ?? one(dice)
      yield* each === undefined ? create(`pod-${++pods}`, dice, device) : world.forward(each, dice)
    })
  }

  /** What owners wanted last and the Nodes do not show, and who is not there again. */
  const unheard = (): ReadonlyArray<string> => [
    ...[...absent].map((name) => `${name} is not made anew`),
    ...[...colours].flatMap(([name, wanted]) => {
      const node = plane.world.store.get("nodes", "", name)?.object as
        | {
          readonly metadata: { readonly labels?: Readonly<Record<string, string>> }
          readonly status?: { readonly allocatable?: Readonly<Record<string, string>> }
        }
        | undefined
      const shown = `${node?.metadata.labels?.["colour"]} ${node?.status?.allocatable?.["pods"]}`
      return shown === wanted ? [] : [`node ${name} should show ${wanted} and shows ${shown}`]
    })
  ]
  return { deeds, unheard }
})
