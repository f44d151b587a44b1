/** Budgets in a whole system: what a reader of logs is told, what the status says, and what the next operator makes of it. */
import { assert, describe, it } from "@effect/vitest"
import { type Context, Effect, Schedule, Stream } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeEvents } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { type Pod, Pods } from "../../../core/kube/Pod.ts"
import { KubeletBackend } from "../../../core/kubelet/KubeletBackend.ts"
import { prints } from "../../fakes/runtime/Program.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"

const here = { namespace: "edge", name: "edge-1" }
const query = { container: "main", follow: true, previous: false, timestamps: false }

const chatty: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name: "chatty" },
  spec: { nodeName: "edge-1", containers: [{ name: "main", image: "busybox:1.36", command: ["talk"] }] }
}
const noise = Array.from({ length: 4000 }, (_, line) => `${line} ${Math.sin(line)}${Math.cos(line * 7)}`.repeat(4))

class NotYet extends Error {}
const eventually = <A, E, R>(look: Effect.Effect<A | undefined, E, R>) =>
  look.pipe(
    Effect.flatMap((seen) => seen === undefined ? Effect.fail(new NotYet()) : Effect.succeed(seen)),
    Effect.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 300 })))
  )

const traffic = Effect.gen(function*() {
  return (yield* (yield* KubeApi).get(EdgeDevices, here)).status?.traffic
})
const running = Effect.gen(function*() {
  const pod = yield* (yield* KubeApi).get(Pods, { namespace: "edge", name: "chatty" })
  return pod.status?.phase === "Running" ? pod.metadata.uid : undefined
})

type Backend = Context.Service.Shape<typeof KubeletBackend>

/** A device with a talking pod, one operator that can be stopped, and where its kubelet API would be. */
const inWorld = <E>(
  seed: number,
  budget: object,
  story: (given: {
    readonly uid: string
    readonly read: Effect.Effect<{ readonly bytes: number; readonly why: string }>
    readonly operator: Effect.Success<ReturnType<typeof makeOperator>>
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
      const beside = Effect.map(KubeletBackend, (service) => {
        backend = service
      })
      const operator = yield* makeOperator([device], undefined, beside)
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
      yield* story({ uid, read, operator, device })
    }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie))

const spent =
  /^device edge-1 has used up what it may spend on streams in a day, 50Ki bytes: ask again after \S+T00:00:00Z, or raise spec\.connectivity\.budget\.streams$/u

describe("a budget for streams", () => {
  it.live("ends a log that goes beyond it, refuses the next, says so once in an event and at once in the status", () =>
    inWorld(1, { streams: "50Ki" }, ({ read }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const first = yield* read
        assert.match(first.why, spent)
        assert.isAbove(first.bytes, 40_000)
        const second = yield* read
        assert.match(second.why, spent)
        assert.strictEqual(second.bytes, 0)
        yield* Effect.sleep("5 seconds")
        const written = yield* traffic
        assert.isAtLeast((written?.streams?.received ?? 0) + (written?.streams?.sent ?? 0), 50 * 1024)
        assert.isAbove(written?.control?.received ?? 0, 500)
        const told = (yield* api.list(KubeEvents, { namespace: "edge" })).filter(({ reason }) =>
          reason === "TrafficBudgetExhausted"
        )
        assert.strictEqual(told.length, 1)
        assert.match(told[0]?.message ?? "", spent)
      })))

  it.live("holds with the next operator, and control goes on all the while", () =>
    inWorld(2, { streams: "50Ki", control: 1 }, ({ operator, read, uid }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        assert.match((yield* read).why, spent)
        yield* Effect.sleep("5 seconds")
        const before = yield* traffic
        yield* operator.kill
        yield* operator.start
        yield* Effect.sleep("1 minute")
        assert.match((yield* read).why, spent)
        const after = yield* traffic
        assert.strictEqual(after?.day, before?.day)
        assert.isAtLeast(after?.streams?.received ?? 0, before?.streams?.received ?? 0)
        assert.isAbove(after?.control?.received ?? 0, before?.control?.received ?? 0)
        yield* api.delete(Pods, { namespace: "edge", name: "chatty" }, { uid })
        yield* eventually(Effect.map(
          Effect.option(api.get(Pods, { namespace: "edge", name: "chatty" })),
          (found) => found._tag === "None" ? true : undefined
        ))
      })))

  it.live("is kept by an operator that stops, to the last bytes that matter", () =>
    inWorld(3, { streams: "1Mi" }, ({ operator, read }) =>
      Effect.gen(function*() {
        yield* Effect.timeoutOption(read, "20 seconds")
        const before = yield* traffic
        yield* operator.kill
        const after = yield* traffic
        assert.isBelow(before?.streams?.received ?? 0, 20_000)
        assert.isAbove(after?.streams?.received ?? 0, 20_000)
      })))

  it.live("costs an idle device no writes", () =>
    inWorld(4, { streams: "1Mi", control: "1Gi" }, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* Effect.sleep("10 minutes")
        const before = (yield* api.get(EdgeDevices, here)).metadata.resourceVersion
        yield* Effect.sleep("20 minutes")
        assert.strictEqual((yield* api.get(EdgeDevices, here)).metadata.resourceVersion, before)
      })))
})
