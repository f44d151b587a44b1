/** Partition policies in a storm: who gives which pod up, that nothing runs on without a word, and that no StatefulSet runs twice. */
import { fromBinary } from "@bufbuild/protobuf"
import { Effect, Option } from "effect"
import type { Context } from "effect"
import type { ControlPlane } from "../../adapters/kube/plane/ControlPlane.ts"
import type { Change } from "../../adapters/kube/plane/store/Collection.ts"
import type { EdgeDeviceObject } from "../../core/device/EdgeDevice.ts"
import { LeashRowSchema } from "../../core/gen/aranya/device/v1/journal_pb.ts"
import type { Pod } from "../../core/kube/Pod.ts"
import { isAside } from "../../core/node/setAside.ts"
import { worldMillis } from "../fakes/worldClock.ts"
import type { Count } from "./coverage.ts"
import type { Known } from "./known.ts"
import type { Reach } from "./ways.ts"
import type { SimulatedDevice } from "./World.ts"

export const partitionRules = [
  "a StatefulSet never runs twice",
  "what is given up is given up by policy",
  "what is given up has stopped",
  "workloads rest in time",
  "controllers have what they want"
]

/** What owners may wish for; a pod runs twice under none of them. */
export const policies: ReadonlyArray<object> = [
  {},
  { notReadyAfter: "2m" },
  { stopWorkloadsAfter: "4m" },
  { stopWorkloadsAfter: "4m", notReadyAfter: "1m" },
  { stopWorkloadsAfter: "3m", replaceAfter: "5m" },
  { stopWorkloadsAfter: "6m", replaceAfter: "15m", notReadyAfter: "2m" },
  { stopWorkloadsAfter: "10m", replaceAfter: "11m" },
  { stopWorkloadsAfter: "3m", replaceAfter: "4m", onReturn: "keepOriginal" },
  { stopWorkloadsAfter: "8m", replaceAfter: "10m", onReturn: "keepOriginal", notReadyAfter: "5m" }
]
/** As a patch that leaves nothing of the policy before. */
export const policyPatch = (policy: object): object => ({
  notReadyAfter: null,
  stopWorkloadsAfter: null,
  replaceAfter: null,
  onReturn: null,
  ...policy
})

/** From the moment at which workloads have to rest until the last of them has ended: their grace of 30 s, and the engine's work. */
const endsWithin = 60_000

interface Apart {
  /** Since when nothing comes through. */
  dark: number | undefined
  /** Since when its agent lives. */
  alive: number | undefined
}

type Plane = Context.Service.Shape<typeof ControlPlane>

const ownerOf = (pod: Pod) => pod.metadata.ownerReferences?.[0]?.kind
const replacedOf = (object: unknown): ReadonlyArray<string> =>
  (object as EdgeDeviceObject | undefined)?.status?.partition?.replaced ?? []
const policyOf = (object: unknown) =>
  (object as
    | { readonly spec?: { readonly partition?: { readonly [field: string]: string | undefined } } }
    | undefined)
    ?.spec?.partition ?? {}

export const makePartitions = (
  { count, known, plane, violated }: {
    readonly plane: Plane
    readonly known: ReadonlyMap<string, Known>
    readonly count: Count
    readonly violated: (what: string) => void
  }
) => {
  const apart = new Map<string, Apart>()
  const of = (name: string) => {
    const found = apart.get(name) ?? { dark: undefined, alive: undefined }
    apart.set(name, found)
    return found
  }
  /** How many pods that were set aside another one may stand in for, which goes when they are back. */
  let standIns = 0
  /** Devices from which pods were ever to be given up. */
  const replacing = new Set<string>()

  plane.world.store.listen("edgedevices.aranya.arhat.dev", "all", ({ revision }: Change) => {
    const { metadata } = revision.object as unknown as EdgeDeviceObject
    const { replaceAfter } = policyOf(revision.object)
    if (replaceAfter !== undefined) replacing.add(metadata.name ?? "")
  })

  const runs = ({ device, uid }: Known) => Effect.runSync(device.runtime.runs).filter((run) => run.uid === uid)
  const running = (each: Known) => runs(each).filter(({ finishedAt }) => finishedAt === undefined)

  /** Pods that go without the storm's asking go by a policy, or because they only stood in. */
  plane.world.store.listen("pods", "all", ({ previous, revision, type }: Change) => {
    const pod = revision.object as unknown as Pod
    if (isAside(pod) && previous !== undefined && !isAside(previous.object as unknown as Pod)) standIns += 1
    const each = known.get(pod.metadata.uid ?? "")
    if (each === undefined) return
    const device = plane.world.store.get("edgedevices.aranya.arhat.dev", "edge", each.device.name)?.object
    const going = type === "DELETED" || pod.metadata.deletionTimestamp !== undefined
    const listed = replacedOf(device).includes(each.uid)
    if (going && !each.deleted) {
      if (listed) count("rule: what is given up is given up by policy")
      const stoodIn = !listed && !each.mayGo && standIns > 0 && ownerOf(pod) === "ReplicaSet"
      if (stoodIn) standIns -= 1
      if (listed || stoodIn) each.mayGo = true
    }
    if (type !== "DELETED" || each.forced || each.givenUp || !replacing.has(each.device.name)) return
    // Its device is away: what lies there is cleared away when it is back.
    const isAway = of(each.device.name).dark !== undefined
    if (!listed && !isAway && !each.deleted) return
    const left = running(each)
    count("rule: what is given up has stopped")
    if (left.length > 0) violated(`${each.name} is given up while ${left.length} of its containers run`)
    each.givenUp = listed || isAway
  })

  const overdue = Effect.fnUntraced(function*(device: SimulatedDevice) {
    const { alive, dark } = of(device.name)
    if (dark === undefined || alive === undefined) return
    const rows = yield* Effect.option(Effect.catchCause(device.rows("link"), () => Effect.succeed([])))
    const row = Option.getOrElse(rows, () => []).find(({ key }) => key === "leash")
    if (row === undefined) return
    const stopAfter = Number(fromBinary(LeashRowSchema, row.value).stopAfter)
    const now = yield* worldMillis
    if (now < Math.max(dark + stopAfter, alive) + endsWithin) return
    count("rule: workloads rest in time")
    const left = Effect.runSync(device.runtime.runs).filter(({ finishedAt }) => finishedAt === undefined)
    if (left.length === 0) return
    const words = left.map(({ attempt, container, uid }) => `${known.get(uid)?.name}/${container}#${attempt}`)
    violated(
      `${device.name} has heard nobody for ${Math.round((now - dark) / 1000)} s, may run for ${
        stopAfter / 1000
      } s, and runs ${words.join(", ")}`
    )
  })

  return {
    watch: (name: string, reach: Reach): Reach => ({
      ...reach,
      transport: {
        ...reach.transport,
        weather: (change, direction) =>
          Effect.flatMap(worldMillis, (now) => {
            if (change.blackHole !== undefined) {
              of(name).dark = change.blackHole && direction === undefined ? of(name).dark ?? now : undefined
            }
            return reach.transport.weather(change, direction)
          })
      }
    }),
    lives: (name: string, begins: boolean, now: number) => {
      of(name).alive = begins ? now : undefined
    },
    look: (devices: ReadonlyArray<SimulatedDevice>) => Effect.forEach(devices, overdue, { discard: true }),
    /** Controllers that have not as many pods as they want, each on a device. */
    unsettled: (): ReadonlyArray<string> =>
      ["replicasets.apps", "statefulsets.apps"].flatMap((collection) =>
        [...plane.world.store.objects(collection)].flatMap(({ object }) => {
          const set = object as unknown as {
            readonly metadata: { readonly name: string }
            readonly spec: { readonly replicas: number }
          }
          const { name } = set.metadata
          const pods = [...known.values()].filter(({ deleted, owner, place }) =>
            !deleted && owner !== undefined && place.startsWith(`${name}-`)
          )
          return pods.length === set.spec.replicas
            ? []
            : [`${name} wants ${set.spec.replicas} pods and has ${pods.length}`]
        })
      ),
    judge: (): void => {
      const stores = [...known.values()].filter(({ owner }) => owner === "StatefulSet")
      for (const [place, pods] of Map.groupBy(stores, ({ place }) => place)) {
        const all = pods.flatMap((each) => runs(each).map((run) => ({ ...run, device: each.device.name })))
          .toSorted((a, b) => a.startedAt - b.startedAt)
        if (new Set(all.map(({ uid }) => uid)).size > 1) count("rule: a StatefulSet never runs twice")
        for (const [i, run] of all.entries()) {
          const next = all[i + 1]
          if (next === undefined || (run.finishedAt ?? Infinity) <= next.startedAt) continue
          violated(`${place} runs on ${run.device} and, as another pod, on ${next.device}`)
        }
      }
      count("rule: controllers have what they want")
    }
  }
}
