/** Tokens on a device over the lives of its operators: none of them knows what the one before has sent. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TokenSigner } from "../../../adapters/kube/plane/authority/TokenSigner.ts"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi, KubeApiError } from "../../../core/kube/KubeApi.ts"
import { type Pod, Pods } from "../../../core/kube/Pod.ts"
import { forever } from "../../fakes/runtime/Program.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import {
  createNamespaces,
  makeDevice,
  makeOperator,
  type Program,
  type SimulatedDevice,
  worldLayerWith
} from "../../simulation/World.ts"

const pod = (name: string, volumes: Pod["spec"]["volumes"] = []): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name },
  spec: {
    nodeName: "edge-1",
    automountServiceAccountToken: false,
    containers: [{
      name: "main",
      image: "busybox:1.36",
      volumeMounts: volumes.map(({ name }) => ({ name, mountPath: `/${name}` }))
    }],
    volumes
  }
})

const vault = {
  name: "vault",
  projected: { sources: [{ serviceAccountToken: { path: "token", audience: "vault", expirationSeconds: 3600 } }] }
}

/** A device that runs this pod for 40 minutes: its token is good for 20 more. */
const inWorld = <E>(
  seed: number,
  workload: Pod,
  story: (given: {
    readonly device: SimulatedDevice
    readonly operator: Program
    /** Minutes of the next three hours in which the token on the device had expired. */
    readonly expired: Effect.Effect<ReadonlyArray<number>>
    /** What the device was told of pods, from now on. */
    readonly told: Effect.Effect<Effect.Effect<ReadonlyArray<string>>>
    /** Whether the operator gets no token from now on. */
    readonly refuse: (refused: boolean) => void
  }) => Effect.Effect<void, E, KubeApi>
) =>
  simulate(seed, () =>
    Effect.gen(function*() {
      const api = yield* KubeApi
      const signer = yield* TokenSigner
      yield* createNamespaces
      const device = yield* makeDevice("edge-1", 1)
      yield* device.runtime.script(() => true, { run: forever })
      let refusing = false
      const refusal = new KubeApiError({ reason: "Unavailable", status: 500, detail: "the signer is away" })
      const seen: KubeApi["Service"] = {
        ...api,
        create: (resource, object, options) =>
          refusing && options?.subresource === "token" ? Effect.fail(refusal) : api.create(resource, object, options)
      }
      const operator = yield* Effect.provideService(makeOperator([device]), KubeApi, seen)
      yield* operator.start
      yield* api.create(EdgeDevices, device.object({ credentials: { allowServiceAccountTokens: true } }))
      yield* device.agent.start
      yield* Effect.sleep("1 minute")
      const { metadata: { uid = "" } } = yield* api.create(Pods, workload)
      yield* Effect.sleep("40 minutes")
      const isExpired = Effect.gen(function*() {
        const claims = yield* signer.verify((yield* device.files.text(uid, "vault/token")) ?? "")
        return Number(claims?.["exp"] ?? 0) * 1000 <= (yield* Clock.currentTimeMillis)
      })
      const expired = Effect.gen(function*() {
        const minutes: Array<number> = []
        for (let minute = 0; minute < 180; minute++) {
          if (yield* isExpired) minutes.push(minute)
          yield* Effect.sleep("1 minute")
        }
        return minutes
      })
      const told = Effect.map(
        device.obeyed,
        (before) =>
          Effect.map(device.obeyed, (all) => all.slice(before.length).map(({ what }) => what.split(" ")[0] ?? ""))
      )
      const refuse = (refused: boolean) => {
        refusing = refused
      }
      yield* story({ device, operator, expired, told, refuse })
    }).pipe(Effect.scoped, Effect.provide(worldLayerWith("quick")), Effect.orDie))

describe("a token on a device", () => {
  it.live("never expires over a restart of the operator", () =>
    inWorld(1, pod("web", [vault]), ({ expired, operator }) =>
      Effect.gen(function*() {
        yield* operator.kill
        yield* operator.start
        assert.deepStrictEqual(yield* expired, [])
      })))

  it.live("that expired while there was no operator is replaced as soon as there is one", () =>
    inWorld(2, pod("web", [vault]), ({ device, expired, operator, told }) =>
      Effect.gen(function*() {
        yield* operator.kill
        yield* Effect.sleep("2 hours")
        const since = yield* told
        yield* operator.start
        yield* Effect.sleep("5 minutes")
        assert.deepStrictEqual(yield* since, ["rotate"], "once, and nothing else of the pod changes")
        assert.deepStrictEqual(yield* expired, [])
        assert.lengthOf(yield* device.runtime.runs, 1)
      })))

  it.live("is not sent to a device that comes back to the same operator", () =>
    inWorld(3, pod("web", [vault]), ({ device, told }) =>
      Effect.gen(function*() {
        const since = yield* told
        yield* device.agent.kill
        yield* device.agent.start
        yield* Effect.sleep("2 minutes")
        assert.deepStrictEqual(yield* since, [])
      })))

  it.live("is all that a restart of the operator costs: a pod without one is told nothing", () =>
    inWorld(4, pod("web"), ({ operator, told }) =>
      Effect.gen(function*() {
        const since = yield* told
        yield* operator.kill
        yield* operator.start
        yield* Effect.sleep("5 minutes")
        assert.deepStrictEqual(yield* since, [])
      })))

  it.live("is used on while its renewal is refused, and holds up nothing else of the pod", () =>
    inWorld(5, pod("web", [vault]), ({ expired, refuse, told }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const since = yield* told
        refuse(true)
        yield* Effect.sleep("14 minutes")
        yield* api.patch(Pods, { namespace: "edge", name: "web" }, {
          type: "strategic",
          body: { metadata: { labels: { colour: "teal" } } }
        })
        yield* Effect.sleep("1 minute")
        assert.deepStrictEqual(yield* since, ["assign"])
        refuse(false)
        yield* Effect.sleep("1 minute")
        assert.deepStrictEqual(yield* since, ["assign", "rotate"])
        assert.deepStrictEqual(yield* expired, [])
      })))

  it.live("that is refused until it has expired is asked for until there is one", () =>
    inWorld(6, pod("web", [vault]), ({ expired, refuse, told }) =>
      Effect.gen(function*() {
        const since = yield* told
        refuse(true)
        yield* Effect.sleep("2 hours")
        assert.deepStrictEqual(yield* since, [])
        refuse(false)
        yield* Effect.sleep("1 minute")
        assert.deepStrictEqual(yield* since, ["rotate"])
        assert.deepStrictEqual(yield* expired, [])
      })))
})
