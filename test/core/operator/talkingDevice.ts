/** A whole system under virtual time whose one device runs a pod that does not stop talking, for stories about its traffic. */
import { type Context, Effect, Schedule, Stream } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { type Pod, Pods } from "../../../core/kube/Pod.ts"
import { KubeletBackend } from "../../../core/kubelet/KubeletBackend.ts"
import type { MetricFamily } from "../../../core/metrics/exposition.ts"
import { operatorMetrics } from "../../../core/operator/operatorMetrics.ts"
import { prints } from "../../fakes/runtime/Program.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"

export const here = { namespace: "edge", name: "edge-1" }
const query = { container: "main", follow: true, previous: false, timestamps: false }

const chatty: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name: "chatty" },
  spec: { nodeName: "edge-1", containers: [{ name: "main", image: "busybox:1.36", command: ["talk"] }] }
}
const noise = Array.from({ length: 4000 }, (_, line) => `${line} ${Math.sin(line)}${Math.cos(line * 7)}`.repeat(4))

class NotYet extends Error {}
export const eventually = <A, E, R>(look: Effect.Effect<A | undefined, E, R>) =>
  look.pipe(
    Effect.flatMap((seen) => seen === undefined ? Effect.fail(new NotYet()) : Effect.succeed(seen)),
    Effect.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 300 })))
  )

const running = Effect.gen(function*() {
  const pod = yield* (yield* KubeApi).get(Pods, { namespace: "edge", name: "chatty" })
  return pod.status?.phase === "Running" ? pod.metadata.uid : undefined
})

type Backend = Context.Service.Shape<typeof KubeletBackend>

/** A device with a talking pod, one operator that can be stopped, and where its kubelet API would be. */
export const inWorld = <E>(
  seed: number,
  budget: object,
  story: (given: {
    readonly uid: string
    /** Follows its log to the end. */
    readonly read: Effect.Effect<{ readonly bytes: number; readonly why: string }>
    /** Asks what the device uses; nothing where that cannot be told. */
    readonly scrape: Effect.Effect<unknown>
    /** The operator's own metrics. */
    readonly families: Effect.Effect<ReadonlyArray<MetricFamily>>
    readonly operator: Effect.Success<ReturnType<typeof makeOperator>>
    /** To be started beside it: it takes the device, and is the one who is asked from then on. */
    readonly next: Effect.Success<ReturnType<typeof makeOperator>>
    readonly device: Effect.Success<ReturnType<typeof makeDevice>>
  }) => Effect.Effect<void, E, KubeApi>
) =>
  simulate(seed, () =>
    Effect.gen(function*() {
      let backend: Backend | undefined
      const api = yield* KubeApi
      yield* createNamespaces
      const device = yield* makeDevice("edge-1", 1)
      yield* device.runtime.script(() => true, { run: prints(noise, { every: "20 millis" }) })
      let families: Effect.Effect<ReadonlyArray<MetricFamily>> = Effect.succeed([])
      const beside = Effect.gen(function*() {
        backend = yield* KubeletBackend
        families = yield* operatorMetrics
      })
      const operator = yield* makeOperator([device], undefined, beside)
      const next = yield* makeOperator([device], undefined, beside, "next")
      yield* operator.start
      yield* api.create(
        EdgeDevices,
        device.object({
          connectivity: { method: "grpc", budget },
          identity: { publicKey: device.publicKey }
        })
      )
      yield* device.agent.start
      yield* eventually(
        Effect.option(api.create(Pods, chatty)).pipe(
          Effect.map((made) => made._tag === "Some" ? made.value : undefined)
        )
      )
      const uid = (yield* eventually(running)) ?? ""
      let bytes = 0
      const read = Effect.suspend(() => {
        bytes = 0
        if (backend === undefined) return Effect.die(new NotYet())
        return backend.logs({ node: "edge-1", uid }, query).pipe(
          Stream.runForEach((piece) => Effect.sync(() => void (bytes += piece.length))),
          Effect.match({
            onSuccess: () => ({ bytes, why: "the end" }),
            onFailure: (error) => ({ bytes, why: error.message })
          })
        )
      })
      const scrape = Effect.suspend(() =>
        Effect.ignore(backend?.summary("edge-1", { onlyCpuAndMemory: true }) ?? Effect.die(new NotYet()))
      )
      yield* story({ uid, read, scrape, families: Effect.suspend(() => families), operator, next, device })
    }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie))
