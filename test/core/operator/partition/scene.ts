/** Two devices, workloads of every kind on the first, and all that is seen of them, for stories about devices that are away. */
import { Duration, Effect, Schedule, Schema } from "effect"
import { ControlPlane } from "../../../../adapters/kube/plane/ControlPlane.ts"
import { EdgeDevices } from "../../../../core/device/EdgeDevice.ts"
import { KubeEvents } from "../../../../core/kube/kinds.ts"
import { KubeApi } from "../../../../core/kube/KubeApi.ts"
import type { KubeResource } from "../../../../core/kube/KubeResource.ts"
import { Nodes } from "../../../../core/kube/Node.ts"
import type { KubeObject } from "../../../../core/kube/ObjectMeta.ts"
import { type Pod, Pods } from "../../../../core/kube/Pod.ts"
import { timestamp } from "../../../../core/kube/time.ts"
import type { MetricFamily } from "../../../../core/metrics/exposition.ts"
import { isMirrorPod } from "../../../../core/node/hostPod.ts"
import { operatorMetrics } from "../../../../core/operator/operatorMetrics.ts"
import { fairWeather } from "../../../fakes/MemoryTransport.ts"
import { forever } from "../../../fakes/runtime/Program.ts"
import { simulate, type VirtualTime } from "../../../simulation/VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, worldLayerWith } from "../../../simulation/World.ts"

class NotYet extends Error {}

export const eventually = <A, E, R>(look: Effect.Effect<A, E, R>, holds: (seen: A) => boolean, seconds = 180) =>
  look.pipe(
    Effect.flatMap((seen) => holds(seen) ? Effect.succeed(seen) : Effect.fail(new NotYet(JSON.stringify(seen)))),
    Effect.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: seconds })))
  )

const set = (kind: string, plural: string): KubeResource<KubeObject> => ({
  group: "apps",
  version: "v1",
  kind,
  plural,
  namespaced: true,
  schema: Schema.Any as unknown as KubeResource<KubeObject>["schema"]
})
const kinds = {
  store: set("StatefulSet", "statefulsets"),
  web: set("ReplicaSet", "replicasets"),
  daemon: set("DaemonSet", "daemonsets")
}

const spec: Omit<Pod["spec"], "nodeName"> = {
  restartPolicy: "Always",
  terminationGracePeriodSeconds: 10,
  containers: [{ name: "main", image: "busybox:1.36", command: ["life"] }],
  tolerations: [{ key: "arhat.dev/namespace", operator: "Exists" }]
} as unknown as Omit<Pod["spec"], "nodeName">

const workload = (name: keyof typeof kinds) => ({
  apiVersion: "apps/v1",
  kind: kinds[name].kind,
  metadata: { namespace: "edge", name },
  spec: {
    ...(name === "daemon" ? {} : { replicas: 1 }),
    ...(name === "store" ? { serviceName: "store" } : {}),
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: { ...spec, nodeSelector: { "arhat.dev/role": "EdgeDevice" } }
    }
  }
})

export interface Seen {
  /** `store-0`, `web`, `daemon` or `bare`, the node it is on, and a letter for each object of that name in turn. */
  readonly pod: string
  readonly ready: string
  readonly restarts: number
  readonly phase: string
  readonly deleting: boolean
}

/**
 * A story: `edge-1` with this policy runs a pod of a StatefulSet, a ReplicaSet and a DaemonSet, and one that is nobody's;
 * `edge-2` is there to take what is replaced.
 */
export const inScene = <E>(
  partition: object,
  tell: (scene: Scene) => Effect.Effect<void, E, KubeApi>,
  options: { readonly seed?: number } = {}
) =>
  simulate(options.seed ?? 1, (time) =>
    Effect.flatMap(makeScene(partition, time), tell).pipe(
      Effect.scoped,
      Effect.provide(worldLayerWith("quick")),
      Effect.orDie
    ), { logs: process.env["LOGS"] === "1" })

export type Scene = Effect.Success<ReturnType<typeof makeScene>>

const makeScene = Effect.fnUntraced(function*(partition: object, time: VirtualTime) {
  const api = yield* KubeApi
  const plane = yield* ControlPlane
  const life = yield* Effect.scope
  yield* createNamespaces
  const first = yield* makeDevice("edge-1", 1)
  const second = yield* makeDevice("edge-2", 2)
  const devices = [first, second]
  for (const device of devices) {
    yield* device.runtime.image("busybox:1.36", {})
    yield* device.runtime.script(() => true, { run: forever })
  }
  const meanwhile = new Map<string, Effect.Effect<unknown, unknown>>()
  const before = (what: string) =>
    Effect.suspend(() => {
      const first = meanwhile.get(what)
      meanwhile.delete(what)
      return Effect.orDie(first ?? Effect.void)
    })
  const get = ((resource, at) =>
    Effect.tap(api.get(resource, at), () => before(`get ${resource.plural}`))) as typeof api.get
  const list = ((resource, selection) =>
    Effect.tap(api.list(resource, selection), () =>
      before(`list ${resource.plural}`))) as typeof api.list
  let families: Effect.Effect<ReadonlyArray<MetricFamily>> = Effect.succeed([])
  const beside = Effect.map(operatorMetrics, (now) => {
    families = now
  })
  const operator = yield* makeOperator(devices, undefined, beside).pipe(
    Effect.provideService(KubeApi, { ...api, get, list })
  )
  yield* operator.start

  const nodeReady = (name: string) =>
    eventually(
      api.get(Nodes, { name }),
      ({ status }) => status?.conditions?.some(({ status, type }) => type === "Ready" && status === "True") ?? false
    )
  const link = (device: typeof first, extra: object = {}) =>
    api.create(EdgeDevices, device.object(extra)).pipe(
      Effect.andThen(device.agent.start),
      Effect.andThen(nodeReady(device.name))
    )

  /** Each object a pod of this name ever was, by uid. */
  const letters = new Map<string, string>()
  const nameOf = (pod: Pod) => {
    const name = (pod.metadata.name ?? "").replace(/^(web|daemon)-.*$/u, "$1")
    return name === "daemon" ? `daemon-of-${pod.spec.nodeName}` : name
  }
  plane.world.store.listen("pods", "all", ({ revision }) => {
    const pod = revision.object as unknown as Pod
    const uid = pod.metadata.uid ?? ""
    // A daemon's pod is named after its Node, which it gets from the scheduler.
    if (letters.has(uid) || (pod.spec.nodeName ?? "") === "") return
    const name = nameOf(pod)
    const before = [...letters.values()].filter((each) => each.startsWith(`${name} `)).length
    letters.set(uid, `${name} ${"abcdefgh"[before]}`)
  })

  yield* link(first, { partition })
  for (const name of ["store", "web", "daemon"] as const) yield* api.create(kinds[name], workload(name))
  yield* api.create(Pods, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "edge", name: "bare" },
    spec: { ...spec, nodeName: "edge-1" }
  })
  const pods = Effect.map(
    api.list(Pods, {}),
    (all): ReadonlyArray<Seen> =>
      all.filter((pod) => !isMirrorPod(pod)).map((pod) => ({
        pod: `${letters.get(pod.metadata.uid ?? "")} on ${pod.spec.nodeName ?? "no node"}`,
        ready: pod.status?.conditions?.find(({ type }) => type === "Ready")?.status ?? "",
        restarts: pod.status?.containerStatuses?.[0]?.restartCount ?? -1,
        phase: pod.status?.phase ?? "",
        deleting: pod.metadata.deletionTimestamp !== undefined
      })).toSorted((a, b) => a.pod < b.pod ? -1 : 1)
  )
  const names = Effect.map(pods, (all) => all.map(({ pod }) => pod))
  const allReady = (count: number) =>
    eventually(pods, (all) => all.length === count && all.every(({ ready }) => ready === "True"))
  yield* allReady(4)
  yield* link(second)
  yield* allReady(5)

  const runs = Effect.map(
    Effect.all(devices.map(({ runtime }) => runtime.runs)),
    (all) => all.flat().map((run) => ({ ...run, pod: letters.get(run.uid) ?? "?" }))
  )
  /** What runs now, on whatever device. */
  const running = Effect.map(
    runs,
    (all) =>
      all.filter(({ finishedAt }) => finishedAt === undefined).map(({ attempt, pod }) => `${pod} #${attempt}`).sort()
  )
  /** Whether two of one StatefulSet's pod, or two containers of one pod, ever ran at the same moment. */
  const twice = Effect.map(runs, (all) => {
    const store = all.filter(({ pod }) => pod.startsWith("store-0 ")).toSorted((a, b) => a.startedAt - b.startedAt)
    return store.some((run, i) => (run.finishedAt ?? Infinity) > (store[i + 1]?.startedAt ?? Infinity))
  })
  const node = Effect.map(api.get(Nodes, { name: "edge-1" }), ({ spec, status }) => {
    const condition = (type: string) => status?.conditions?.find((each) => each.type === type)
    return {
      ready: condition("Ready")?.status,
      why: condition("Ready")?.reason,
      connected: condition("DeviceConnected")?.reason,
      taints: (spec?.taints ?? []).map(({ effect, key }) => `${key}:${effect}`).sort()
    }
  })
  const apart = (apart: boolean) => first.transport.weather(apart ? { blackHole: true } : { ...fairWeather })
  const events = Effect.map(
    api.list(KubeEvents, {}),
    (all) => all.map(({ involvedObject, message, reason }) => `${involvedObject?.kind} ${reason}: ${message}`)
  )
  const told = (reason: string) => Effect.map(events, (all) => all.filter((each) => each.includes(` ${reason}: `)))
  const wait = (duration: Duration.Input) => Effect.sleep(duration)
  const edit = (body: object) =>
    api.patch(EdgeDevices, { namespace: "edge", name: "edge-1" }, {
      type: "merge",
      body: { spec: { partition: body } }
    })
  const status = Effect.map(api.get(EdgeDevices, { namespace: "edge", name: "edge-1" }), (each) => each.status)
  /** A Node with a kubelet of its own, of which one sees the heartbeats alone. */
  const startOther = Effect.gen(function*() {
    yield* api.create(Nodes, { apiVersion: "v1", kind: "Node", metadata: { name: "other" }, spec: {} })
    const beat = Effect.suspend(() => {
      const at = timestamp(time.now)
      return api.patch(Nodes, { name: "other", subresource: "status" }, {
        type: "strategic",
        body: {
          status: {
            conditions: [{ type: "Ready", status: "True", lastHeartbeatTime: at, lastTransitionTime: at }]
          }
        }
      })
    })
    yield* beat
    yield* Effect.forever(Effect.andThen(Effect.sleep("30 seconds"), beat)).pipe(Effect.orDie, Effect.forkIn(life))
  }).pipe(Effect.orDie)
  return {
    startOther,
    /** Happens once, between the API's next answer to the operator, such as to `list pods`, and what the operator does by it. */
    beforeAnswer: (request: string, what: Effect.Effect<unknown, unknown>) => void meanwhile.set(request, what),
    first,
    second,
    operator,
    time,
    allReady,
    pods,
    names,
    runs,
    running,
    twice,
    node,
    apart,
    told,
    events,
    wait,
    edit,
    status,
    /** The operator's own metrics. */
    families: Effect.suspend(() => families)
  }
})
