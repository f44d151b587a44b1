/** Two devices, workloads of every kind on the first, and all that is seen of them, for stories about devices that are away. */
import { Duration, Effect, Exit, Latch, Layer, Schedule, Schema, Scope, Stream } from "effect"
import { ControllerSwitches } from "../../../../adapters/kube/plane/controller/controller.ts"
import { replicaSets } from "../../../../adapters/kube/plane/controller/replicaSets.ts"
import { ControlPlane } from "../../../../adapters/kube/plane/ControlPlane.ts"
import { leashCapability } from "../../../../core/agent/leash.ts"
import { EdgeDevices } from "../../../../core/device/EdgeDevice.ts"
import { KubeEvents } from "../../../../core/kube/kinds.ts"
import { KubeApi, KubeApiError } from "../../../../core/kube/KubeApi.ts"
import type { KubeResource } from "../../../../core/kube/KubeResource.ts"
import { Nodes } from "../../../../core/kube/Node.ts"
import type { KubeObject } from "../../../../core/kube/ObjectMeta.ts"
import { type Pod, Pods } from "../../../../core/kube/Pod.ts"
import { timestamp } from "../../../../core/kube/time.ts"
import { Cryptography } from "../../../../core/link/Cryptography.ts"
import { SecureRandom } from "../../../../core/link/SecureRandom.ts"
import type { MetricFamily } from "../../../../core/metrics/exposition.ts"
import { isMirrorPod } from "../../../../core/node/hostPod.ts"
import { operatorMetrics } from "../../../../core/operator/operatorMetrics.ts"
import { makeMemoryBroker } from "../../../fakes/MemoryBroker.ts"
import { fairWeather } from "../../../fakes/MemoryTransport.ts"
import { forever } from "../../../fakes/runtime/Program.ts"
import { simulate, type VirtualTime } from "../../../simulation/VirtualTime.ts"
import { directly, through } from "../../../simulation/ways.ts"
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
export const kinds = {
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

export const workload = (name: keyof typeof kinds) => ({
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

/** What runs and is never given up. */
export const bound = ["bare a #0", "daemon-of-edge-1 a #0", "daemon-of-edge-2 a #0"]
export const everything = [...bound, "store-0 a #0", "web a #0"]
export const onTheFirst = ["bare a on edge-1", "daemon-of-edge-1 a on edge-1"]
export const atHome = [...onTheFirst, "daemon-of-edge-2 a on edge-2", "store-0 a on edge-1", "web a on edge-1"]
export const elsewhere = [...onTheFirst, "daemon-of-edge-2 a on edge-2", "store-0 b on edge-2", "web b on edge-2"]

interface SceneOptions {
  readonly seed?: number
  /** The agent on the first device is of before there was a leash. */
  readonly older?: boolean
  /** The first device comes through a broker, and by no other way. */
  readonly broker?: boolean
}

/** This scene has a controller of its own for these, which can be stopped. */
const controllers = Layer.succeed(ControllerSwitches, (name) => name !== replicaSets.name)

/**
 * A story: `edge-1` with this policy runs a pod of a StatefulSet, a ReplicaSet and a DaemonSet, and one that is nobody's;
 * `edge-2` is there to take what is replaced.
 */
export const inScene = <E>(
  partition: object,
  tell: (scene: Scene) => Effect.Effect<void, E, KubeApi>,
  options: SceneOptions = {}
) =>
  simulate(options.seed ?? 1, (time) =>
    Effect.flatMap(makeScene(partition, time, options), tell).pipe(
      Effect.scoped,
      Effect.provide(worldLayerWith("quick").pipe(Layer.provide(controllers))),
      Effect.orDie
    ), { logs: process.env["LOGS"] === "1" })

export type Scene = Effect.Success<ReturnType<typeof makeScene>>

/** An agent that does not know this word: what stands in its place is as long, and nobody knows it either. */
const unsaid = (word: string, plain: Uint8Array): Uint8Array => {
  const at = Buffer.from(plain).indexOf(word)
  return at < 0 ? plain : plain.map((byte, i) => i >= at && i < at + word.length ? 0x2d : byte)
}

const makeScene = Effect.fnUntraced(function*(
  partition: object,
  time: VirtualTime,
  { broker: byBroker = false, older = false }: SceneOptions
) {
  const api = yield* KubeApi
  const plane = yield* ControlPlane
  const cryptography = yield* Cryptography
  const random = yield* SecureRandom
  const life = yield* Effect.scope
  yield* createNamespaces
  let managing: Scope.Closeable | undefined
  const manage = (yes: boolean) =>
    Effect.gen(function*() {
      if (managing !== undefined) yield* Scope.close(managing, Exit.void)
      managing = yes ? yield* Scope.fork(life) : undefined
      if (managing !== undefined) yield* Layer.build(Layer.fresh(replicaSets.layer)).pipe(Scope.provide(managing))
    }).pipe(Effect.provideService(ControlPlane, plane))
  yield* manage(true)
  const broker = yield* makeMemoryBroker
  let isOlder = older
  const speech = Cryptography.of({
    ...cryptography,
    seal: (key, nonce, associated, plain) =>
      cryptography.seal(key, nonce, associated, isOlder ? unsaid(leashCapability, plain) : plain)
  })
  const first = yield* makeDevice(
    "edge-1",
    1,
    undefined,
    undefined,
    undefined,
    byBroker ? through("edge-1", broker.line("edge-1"), ["mqtt"], random) : directly
  ).pipe(Effect.provideService(Cryptography, speech))
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
  /** Stories are about the first device. */
  const beforeOf = (request: string, name: string | undefined) =>
    request.endsWith(" edgedevices") && name !== "edge-1" ? Effect.void : before(request)
  const get = ((resource, at) =>
    Effect.tap(api.get(resource, at), () =>
      beforeOf(`get ${resource.plural}`, at.name))) as typeof api.get
  const list = ((resource, selection) =>
    Effect.tap(api.list(resource, selection), () =>
      before(`list ${resource.plural}`))) as typeof api.list
  /** Requests that are answered before one is not. */
  const answered = new Map<string, number>()
  /** Begins the names of pods that an admission policy keeps the operator from deleting. */
  let guarded: string | undefined
  const remove = ((resource, at, options) =>
    Effect.suspend(() => {
      if (resource.plural === "pods" && guarded !== undefined && at.name.startsWith(guarded)) {
        return Effect.fail(new KubeApiError({ reason: "Forbidden", status: 403, detail: "denied by a policy" }))
      }
      const request = `delete ${resource.plural}`
      const left = answered.get(request) ?? -1
      answered.set(request, left - 1)
      return left === 0
        ? Effect.fail(new KubeApiError({ reason: "Unavailable", status: 0, detail: "no answer" }))
        : Effect.tap(api.delete(resource, at, options), () => before(request))
    })) as typeof api.delete
  const replace = ((resource, object, options) =>
    Effect.tap(api.replace(resource, object, options), () =>
      beforeOf(`replace ${resource.plural}`, object.metadata.name))) as typeof api.replace
  const podWatch = yield* Latch.make(true)
  const observe = ((resource, selection, options) =>
    Stream.tap(
      api.observe(resource, selection, options),
      () =>
        resource.plural === "pods" ? podWatch.await : Effect.void
    )) as typeof api.observe
  let families: Effect.Effect<ReadonlyArray<MetricFamily>> = Effect.succeed([])
  const beside = Effect.map(operatorMetrics, (now) => {
    families = now
  })
  const operator = yield* makeOperator(devices, undefined, beside, undefined, undefined, broker.line("operator")).pipe(
    Effect.provideService(KubeApi, { ...api, get, list, observe, replace, delete: remove })
  )
  yield* operator.start

  const nodeReady = (name: string) =>
    eventually(
      api.get(Nodes, { name }),
      ({ status }) =>
        status?.conditions?.some(({ status, type }) =>
          type === "Ready" && status === "True"
        ) ?? false
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
    (all) =>
      all.flatMap(({ count = 1, involvedObject, message, reason }) =>
        Array.from({ length: count }, () => `${involvedObject?.kind} ${reason}: ${message}`)
      )
  )
  /** As often as it was told. */
  const told = (reason: string) => Effect.map(events, (all) => all.filter((each) => each.includes(` ${reason}: `)))
  const wait = (duration: Duration.Input) => Effect.sleep(duration)
  const edit = (body: object) =>
    api.patch(EdgeDevices, { namespace: "edge", name: "edge-1" }, {
      type: "merge",
      body: { spec: { partition: body } }
    })
  const status = Effect.map(api.get(EdgeDevices, { namespace: "edge", name: "edge-1" }), (each) => each.status)
  /** Pods of the first device that were given up, as the operator's metrics have it. */
  const replaced = Effect.map(
    Effect.suspend(() => families),
    (all) =>
      all.find(({ name }) => name === "aranya_device_pods_replaced_total")?.samples
        .find(({ labels }) => labels?.["device"] === "edge-1")?.value
  )
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
    broker,
    /** So many of these requests of the operator, such as `delete pods`, are answered, and one is not. */
    answers: (request: string, times: number) => void answered.set(request, times),
    /** The operator may delete no pod whose name begins so, or all of them again. */
    guard: (name: string | undefined) => void (guarded = name),
    /** Open while the operator's watch of pods tells. */
    podWatch,
    /** Whether the controller of ReplicaSets runs. */
    manage,
    /** An agent of today takes the place of an older one, or the other way round. */
    exchangeAgent: (older: boolean) =>
      first.agent.kill.pipe(
        Effect.andThen(Effect.sync(() => void (isOlder = older))),
        Effect.andThen(first.agent.start)
      ),
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
    families: Effect.suspend(() => families),
    replaced
  }
})
