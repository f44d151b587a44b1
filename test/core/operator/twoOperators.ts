/** Two operators, each of which believes that it serves every device, and what tests ask of them. */
import { Effect, Latch, Schedule, Stream } from "effect"
import { type EdgeDeviceObject, EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Nodes } from "../../../core/kube/Node.ts"
import type { KubeObject } from "../../../core/kube/ObjectMeta.ts"
import { type Pod, Pods } from "../../../core/kube/Pod.ts"
import { forever } from "../../fakes/runtime/Program.ts"
import { createNamespaces, makeDevice, makeOperator, type SimulatedDevice } from "../../simulation/World.ts"

const every = Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 300 }))

/** Looks every second until it holds. */
export const until = <E, R>(look: Effect.Effect<boolean, E, R>) =>
  Effect.flatMap(look, (holds) => holds ? Effect.void : Effect.fail("not yet" as const)).pipe(Effect.retry(every))

export const web: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name: "web" },
  spec: {
    nodeName: "edge-1",
    restartPolicy: "Always",
    containers: [{ name: "main", image: "busybox:1.36", command: ["sleep", "1000"] }]
  }
}

/** How often the device was told to run a pod. */
export const assignments = (device: SimulatedDevice) =>
  Effect.map(device.obeyed, (obeyed) => obeyed.filter(({ what }) => what.startsWith("assign")).length)

export const restarts = (pod: Pod) => pod.status?.containerStatuses?.[0]?.restartCount ?? 0

/** The device dials whichever operator it meets, until that is the one. */
export const comes = (device: SimulatedDevice) => (name: string) =>
  Effect.gen(function*() {
    const api = yield* KubeApi
    const { status } = yield* api.get(EdgeDevices, { namespace: "edge", name: "edge-1" })
    const connected = status?.conditions?.find(({ type }) => type === "Connected")?.status === "True"
    if (connected && status?.link?.holder?.startsWith(name) === true) return true
    if (connected) yield* device.transport.cut()
    return false
  }).pipe(Effect.delay("10 seconds"), until)

/** A device that the first of two operators has. Its watches of EdgeDevices, ConfigMaps and pods and the other's of pods tell only while they may. */
export const twoOperators = Effect.gen(function*() {
  const api = yield* KubeApi
  yield* createNamespaces
  const device = yield* makeDevice("edge-1", 1)
  yield* device.runtime.script(() => true, { run: forever })
  const tellsOne = yield* Latch.make(true)
  const tellsOneOfPods = yield* Latch.make(true)
  const tellsOneOfRevoked = yield* Latch.make(true)
  const tells = yield* Latch.make(true)
  const tellsOfLeases = yield* Latch.make(true)
  const admitsOne = yield* Latch.make(true)
  let admittedByOne: string | undefined
  let admittingOne = 0
  let missesEnds = false
  let missed: string | undefined
  const watching = (
    may: Readonly<Record<string, Latch.Latch>>,
    leavesOut: (object: KubeObject) => boolean = () => false
  ) =>
    ((resource, selection, options) =>
      Stream.filterEffect(
        api.observe(resource, selection, options),
        (seen) => Effect.as(may[resource.plural]?.await ?? Effect.void, seen._tag !== "Set" || !leavesOut(seen.object))
      )) as typeof api.observe
  const one = yield* makeOperator([device], undefined, undefined, "one").pipe(
    Effect.provideService(KubeApi, {
      ...api,
      observe: watching({ edgedevices: tellsOne, pods: tellsOneOfPods, configmaps: tellsOneOfRevoked }),
      replace: ((resource, object, options) =>
        Effect.suspend(() => {
          const lineage = resource.plural === "edgedevices"
            ? (object as EdgeDeviceObject).status?.link?.lineageHash
            : admittedByOne
          if (lineage === admittedByOne) return api.replace(resource, object, options)
          admittedByOne = lineage
          admittingOne += 1
          return admitsOne.await.pipe(
            Effect.ensuring(Effect.sync(() => admittingOne -= 1)),
            Effect.andThen(api.replace(resource, object, options))
          )
        })) as typeof api.replace
    })
  )
  const two = yield* makeOperator([device], undefined, undefined, "two").pipe(
    Effect.provideService(KubeApi, {
      ...api,
      observe: watching(
        { pods: tells },
        ({ metadata }) => metadata.name === missed || missesEnds && metadata.deletionTimestamp !== undefined
      ),
      get: (resource, at) =>
        resource.plural === "leases"
          ? Effect.andThen(tellsOfLeases.await, api.get(resource, at))
          : api.get(resource, at)
    })
  )
  yield* one.start
  yield* api.create(EdgeDevices, device.object())
  yield* device.agent.start
  yield* until(Effect.match(api.get(Nodes, { name: "edge-1" }), { onFailure: () => false, onSuccess: () => true }))
  yield* two.start
  yield* comes(device)("one")
  return {
    api,
    device,
    tells,
    /** The first operator's writes of whom it lets in wait for this; how many do. */
    admitsOne,
    admittingOne: Effect.sync(() => admittingOne),
    tellsOneOfDevices: tellsOne,
    tellsOfLeases,
    tellsOneOfPods,
    tellsOneOfRevoked,
    /** The other's watches break from now on whenever something is ending, and begin anew when it is gone. */
    missEnds: Effect.sync(() => {
      missesEnds = true
    }),
    /** The other's watches break when this one is made, and begin anew when it is gone. */
    miss: (name: string) =>
      Effect.sync(() => {
        missed = name
      }),
    /** The device comes to the second operator, of which the first hears nothing for a while: its watch is late, its link half-open. */
    slipAway: tellsOne.close.pipe(
      Effect.andThen(device.transport.weather({ blackHole: true })),
      Effect.andThen(device.agent.kill),
      Effect.andThen(device.transport.weather({ blackHole: false })),
      Effect.andThen(device.agent.start),
      Effect.andThen(Effect.sleep("1 second")),
      Effect.andThen(api.get(EdgeDevices, { namespace: "edge", name: "edge-1" })),
      // It comes to whichever it meets.
      Effect.repeat({ until: ({ status }) => status?.link?.holder === "two-1" })
    ),
    /** The second one is gone: the device meets the first alone. */
    killTwo: two.kill,
    /** The next life of the first one. */
    startOne: one.start,
    pod: api.get(Pods, { namespace: "edge", name: "web" }),
    /** The device loses the first operator, which is gone; a minute later it comes to the other. */
    handOver: <A, E>(meanwhile: Effect.Effect<A, E>) =>
      device.transport.refuse("Refused").pipe(
        Effect.andThen(device.transport.cut()),
        Effect.andThen(one.kill),
        Effect.andThen(meanwhile),
        Effect.andThen(Effect.sleep("1 minute")),
        Effect.andThen(device.transport.refuse(undefined))
      )
  }
})
