import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Layer, Schedule, Schema } from "effect"
import { Base64 } from "effect/encoding"
import { refuse } from "../../../adapters/kube/plane/memory/Faults.ts"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { ConfigMaps, type Secret, Secrets } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import type { KubeResource } from "../../../core/kube/KubeResource.ts"
import { Nodes } from "../../../core/kube/Node.ts"
import type { KubeObject } from "../../../core/kube/ObjectMeta.ts"
import { type Pod, Pods } from "../../../core/kube/Pod.ts"
import { SecureRandom } from "../../../core/link/SecureRandom.ts"
import { finalizer } from "../../../core/operator/farewell.ts"
import { makeMemoryBroker } from "../../fakes/MemoryBroker.ts"
import { forever } from "../../fakes/runtime/Program.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { directly, through, topicNamespaceOf } from "../../simulation/ways.ts"
import {
  clientWithFaults,
  createNamespaces,
  makeDevice,
  makeOperator,
  type Program,
  type SimulatedDevice,
  worldLayer
} from "../../simulation/World.ts"

const DaemonSets: KubeResource<KubeObject & { readonly spec: object }> = {
  group: "apps",
  version: "v1",
  kind: "DaemonSet",
  plural: "daemonsets",
  namespaced: true,
  schema: Schema.Any as never
}

const seconds = Effect.map(Clock.currentTimeMillis, (now) => now / 1000)

const every = (limitSeconds: number) => Schedule.spaced("500 millis").pipe(Schedule.upTo({ times: 2 * limitSeconds }))

const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name: "web" },
  spec: {
    nodeName: "edge-1",
    restartPolicy: "Always",
    terminationGracePeriodSeconds: 1,
    containers: [{ name: "main", image: "busybox:1.36", command: ["sleep", "1000"] }]
  }
}

const login: Secret = {
  apiVersion: "v1",
  kind: "Secret",
  metadata: { namespace: "edge", name: "login" },
  type: "kubernetes.io/basic-auth",
  data: { username: Base64.encode("aranya"), password: Base64.encode("p") }
}
const withLogin = {
  connectivity: {
    method: "mqtt",
    mqtt: { broker: "broker:1883", topicNamespace: topicNamespaceOf("edge-1"), userPassRef: { name: "login" } }
  }
}

const here = { namespace: "edge", name: "edge-1" }

/** One device that runs a pod and is connected; `deleted` deletes its EdgeDevice and tells after how many seconds it was gone. */
const inWorld = <E>(
  seed: number,
  story: (given: {
    readonly device: SimulatedDevice
    readonly operator: Program
    readonly deleted: Effect.Effect<number>
    readonly revoked: Effect.Effect<boolean>
    readonly connectedCondition: Effect.Effect<string | undefined>
    /** From now on the operator's watches of pods and Nodes say nothing. */
    readonly freeze: Effect.Effect<void>
    /** Whether the API lists no pods to the operator. */
    readonly keepUnlisted: (is: boolean) => void
    /** How often the operator has written finalizers. */
    readonly finalized: () => number
    /** Whether the API takes no ConfigMap of the operator's. */
    readonly keepUnwritten: (is: boolean) => void
  }) => Effect.Effect<void, E, KubeApi>,
  /** `broker`: the device comes through one, and by no other way. */
  { broker: byBroker = false, spec = {} }: { readonly broker?: boolean; readonly spec?: object } = {}
) =>
  simulate(seed, () =>
    Effect.gen(function*() {
      const api = yield* KubeApi
      yield* createNamespaces
      yield* api.create(Secrets, login)
      const broker = yield* makeMemoryBroker
      const reaching = byBroker
        ? through("edge-1", broker.line("edge-1"), ["mqtt"], yield* SecureRandom)
        : directly
      const device = yield* makeDevice("edge-1", 1, undefined, undefined, undefined, reaching)
      yield* device.runtime.script(() => true, { run: forever, onTerm: "ignored" })
      let thaw: Deferred.Deferred<void> | undefined
      const holdWatch = Effect.suspend(() => thaw === undefined ? Effect.void : Deferred.await(thaw))
      let unwritten = false
      let unlisted = false
      let finalized = 0
      const client = yield* Layer.build(
        // The API takes its time over Leases, in which controllers go on.
        clientWithFaults(({ method, path }) =>
          Effect.as(
            method === "DELETE" && path.includes("/leases/")
              ? Effect.sleep("1 second")
              : Effect.sync(() => {
                if (method === "PATCH" && path.endsWith("/edgedevices/edge-1")) finalized += 1
              }),
            unlisted && path.endsWith("/pods")
              ? { answer: refuse(503, "ServiceUnavailable", "try again") }
              : path.endsWith("/pods") || path.endsWith("/nodes")
              ? { holdWatch }
              : unwritten && method !== "GET" && path.includes("/configmaps")
              ? { answer: refuse(503, "ServiceUnavailable", "try again") }
              : {}
          )
        )
      )
      const freeze = Effect.sync(() => {
        thaw = Deferred.makeUnsafe()
      })
      const operator = yield* makeOperator(
        [device],
        undefined,
        undefined,
        undefined,
        undefined,
        byBroker ? broker.line("operator") : undefined
      ).pipe(Effect.provideContext(client))
      yield* operator.start
      yield* api.create(EdgeDevices, device.object(spec))
      yield* device.agent.start
      yield* api.get(Nodes, { name: "edge-1" }).pipe(Effect.retry(every(60)))
      yield* api.create(Pods, pod)
      yield* Effect.flatMap(
        api.get(Pods, { namespace: "edge", name: "web" }),
        ({ status }) => status?.phase === "Running" ? Effect.void : Effect.fail("not yet")
      ).pipe(Effect.retry(every(60)))
      assert.deepStrictEqual((yield* api.get(EdgeDevices, here)).metadata.finalizers, [finalizer])

      const deleted = Effect.gen(function*() {
        const began = yield* seconds
        yield* api.delete(EdgeDevices, here)
        yield* Effect.flip(api.get(EdgeDevices, here)).pipe(Effect.retry(every(300)))
        const node = yield* Effect.flip(api.get(Nodes, { name: "edge-1" }))
        assert.strictEqual(node.reason, "NotFound")
        return (yield* seconds) - began
      }).pipe(Effect.orDie)
      const revoked = api.get(ConfigMaps, { namespace: "aranya", name: "aranya-revoked-devices" }).pipe(
        Effect.map(({ data }) => Object.keys(data ?? {}).length > 0),
        Effect.catch(() => Effect.succeed(false))
      )
      const connectedCondition = Effect.map(
        Effect.orDie(api.get(Nodes, { name: "edge-1" })),
        ({ status }) => status?.conditions?.find(({ type }) => type === "DeviceConnected")?.status
      )
      const keepUnlisted = (is: boolean) => {
        unlisted = is
      }
      const keepUnwritten = (is: boolean) => {
        unwritten = is
      }
      yield* story({
        device,
        operator,
        deleted,
        revoked,
        connectedCondition,
        freeze,
        keepUnlisted,
        finalized: () => finalized,
        keepUnwritten
      })
    }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie))

const running = (device: SimulatedDevice) =>
  Effect.map(device.runtime.runs, (runs) => runs.filter(({ finishedAt }) => finishedAt === undefined).length)

describe("deleting an EdgeDevice", () => {
  it.live("waits for a device that is there to end its pods, however long they take, and needs no revocation", () =>
    inWorld(1, ({ deleted, device, revoked }) =>
      Effect.gen(function*() {
        const took = yield* deleted
        assert.isAbove(took, 9, "a program that ignores SIGTERM is given its grace")
        assert.isBelow(took, 60)
        assert.strictEqual(yield* running(device), 0, "its pods ended before it was let go")
        assert.isFalse(yield* revoked)
      })))

  it.live("does not wait for one whose link is known to be down: it is revoked, and wipes when it is back", () =>
    inWorld(2, ({ connectedCondition, deleted, device, revoked }) =>
      Effect.gen(function*() {
        yield* device.transport.refuse("Refused")
        yield* device.transport.cut()
        yield* Effect.sleep("5 seconds")
        assert.strictEqual(yield* connectedCondition, "False")
        assert.isBelow(yield* deleted, 20)
        assert.isTrue(yield* revoked)
        assert.isAbove(yield* running(device), 0)
        yield* device.transport.refuse(undefined)
        yield* Effect.flatMap(running(device), (left) => left === 0 ? Effect.void : Effect.fail("not yet")).pipe(
          Effect.retry(every(400))
        )
      })))

  it.live("tells a device that comes by a broker alone when it is back", () =>
    inWorld(12, ({ deleted, device, revoked }) =>
      Effect.gen(function*() {
        yield* device.transport.refuse("Refused")
        yield* device.transport.cut()
        yield* deleted
        assert.isTrue(yield* revoked)
        assert.isAbove(yield* running(device), 0)
        yield* Effect.sleep("1 hour")
        yield* device.transport.refuse(undefined)
        yield* Effect.flatMap(running(device), (left) => left === 0 ? Effect.void : Effect.fail("not yet")).pipe(
          Effect.retry(every(600))
        )
      }), { broker: true }))

  const loginGoes = Effect.flatMap(KubeApi, (api) => api.delete(Secrets, { namespace: "edge", name: "login" }))

  it.live("has a device wiped that comes by a broker alone, though the broker's login is deleted meanwhile", () =>
    inWorld(13, ({ deleted, device, revoked }) =>
      Effect.gen(function*() {
        yield* Effect.forkChild(Effect.delay(Effect.orDie(loginGoes), "2 seconds"))
        yield* deleted
        assert.strictEqual(yield* running(device), 0)
        assert.isFalse(yield* revoked)
      }), { broker: true, spec: withLogin }))

  it.live("tells a device that comes by a broker alone, though the broker's login was deleted a moment before", () =>
    inWorld(14, ({ deleted, device }) =>
      Effect.gen(function*() {
        yield* loginGoes
        yield* Effect.sleep("2 seconds")
        yield* deleted
        yield* Effect.flatMap(running(device), (left) => left === 0 ? Effect.void : Effect.fail("not yet")).pipe(
          Effect.retry(every(600))
        )
      }).pipe(Effect.orDie), { broker: true, spec: withLogin }))

  it.live("leaves a device that the next one of its name knows, though it dies before it hears of being let in", () =>
    inWorld(11, ({ deleted, device }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* deleted
        yield* device.transport.weather({ delayMillis: [3000, 3000] })
        yield* api.create(EdgeDevices, device.object())
        yield* Effect.flatMap(
          api.get(EdgeDevices, here),
          ({ status }) => status?.link?.lineageHash === undefined ? Effect.fail("not yet") : Effect.void
        ).pipe(Effect.retry(every(300)))
        yield* device.agent.kill
        yield* device.transport.weather({ delayMillis: [10, 10] })
        yield* device.agent.start
        yield* Effect.flatMap(
          api.get(EdgeDevices, here),
          ({ status }) =>
            status?.conditions?.some(({ status, type }) => type === "Connected" && status === "True") === true
              ? Effect.void
              : Effect.fail("not yet")
        ).pipe(Effect.retry(every(120)))
      })))

  it.live("lets nothing of it go before its revocation is written, however long the API takes no writes", () =>
    inWorld(10, ({ deleted, device, keepUnwritten, revoked }) =>
      Effect.gen(function*() {
        keepUnwritten(true)
        yield* device.transport.weather({ blackHole: true })
        yield* Effect.forkChild(Effect.delay(Effect.sync(() => keepUnwritten(false)), "4 minutes"))
        assert.isAbove(yield* deleted, 240)
        assert.isTrue(yield* revoked)
      })))

  it.live("finds out by itself that a device has vanished of which the link does not know yet", () =>
    inWorld(3, ({ connectedCondition, deleted, device, revoked }) =>
      Effect.gen(function*() {
        yield* device.transport.weather({ blackHole: true })
        assert.strictEqual(yield* connectedCondition, "True")
        assert.isBelow(yield* deleted, 30)
        assert.isTrue(yield* revoked)
      })))

  it.live("gives a device whose connection has just broken the moment it needs to be back", () =>
    inWorld(5, ({ deleted, device, revoked }) =>
      Effect.gen(function*() {
        yield* device.transport.refuse("Refused")
        yield* device.transport.cut()
        // It dials again after a second at most, then after two: soon enough whatever the dice say.
        yield* Effect.forkChild(Effect.delay(device.transport.refuse(undefined), "500 millis"))
        assert.isBelow(yield* deleted, 60)
        assert.strictEqual(yield* running(device), 0)
        assert.isFalse(yield* revoked)
      })))

  it.live("tells a device that comes back from a reboot meanwhile, and leaves it no session that nobody keeps", () =>
    inWorld(6, ({ deleted, device }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        // It dies without a word, and is back while the operator still waits for an answer of the life before.
        yield* device.transport.weather({ blackHole: true })
        yield* device.agent.kill
        yield* device.transport.weather({ blackHole: false })
        yield* Effect.forkChild(Effect.delay(device.agent.start, "2 seconds"))
        yield* deleted
        yield* api.create(EdgeDevices, device.object())
        yield* Effect.flatMap(
          api.get(Nodes, { name: "edge-1" }),
          ({ status }) =>
            status?.conditions?.some(({ status, type }) => type === "DeviceConnected" && status === "True") === true
              ? Effect.void
              : Effect.fail("not yet")
        ).pipe(Effect.retry(every(300)))
        yield* Effect.flatMap(running(device), (left) => left === 0 ? Effect.void : Effect.fail("not yet")).pipe(
          Effect.retry(every(120))
        )
      }).pipe(Effect.orDie)))

  it.live("is begun anew by the operator's next life where the one before was ended in the middle of it", () =>
    inWorld(27, ({ device, operator }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* device.transport.weather({ blackHole: true })
        yield* api.delete(EdgeDevices, here)
        yield* Effect.sleep("2 seconds")
        yield* operator.kill
        yield* Effect.sleep("1 minute")
        assert.deepStrictEqual((yield* api.get(EdgeDevices, here)).metadata.finalizers, [finalizer])
        assert.strictEqual((yield* api.get(Nodes, { name: "edge-1" })).metadata.name, "edge-1")
        yield* operator.start
        yield* Effect.flip(api.get(EdgeDevices, here)).pipe(Effect.retry(every(60)))
        const left = yield* api.list(Pods)
        assert.deepStrictEqual(left.map(({ metadata }) => metadata.name), [], "its pods went with it")
      }).pipe(Effect.orDie)))

  it.live("is finished where somebody took its finalizer away in the middle of it", () =>
    inWorld(8, ({ device }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* device.transport.weather({ blackHole: true })
        yield* api.delete(EdgeDevices, here)
        yield* Effect.sleep("2 seconds")
        yield* api.patch(EdgeDevices, here, { type: "merge", body: { metadata: { finalizers: [] } } })
        yield* Effect.flip(api.get(Nodes, { name: "edge-1" })).pipe(Effect.retry(every(120)))
        yield* Effect.sleep("1 minute")
        const left = yield* api.list(Pods)
        assert.deepStrictEqual(left.map(({ metadata }) => metadata.name), [])
      }).pipe(Effect.orDie)))

  const takeFinalizer = Effect.flatMap(
    KubeApi,
    (api) => api.patch(EdgeDevices, here, { type: "merge", body: { metadata: { finalizers: [] } } })
  )

  it.live("takes leave of the device where somebody took its finalizer away before", () =>
    inWorld(29, ({ device, revoked }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* takeFinalizer
        yield* Effect.sleep("5 seconds")
        yield* api.delete(EdgeDevices, here)
        yield* Effect.flip(api.get(EdgeDevices, here)).pipe(Effect.retry(every(60)))
        assert.strictEqual((yield* Effect.flip(api.get(Nodes, { name: "edge-1" }))).reason, "NotFound")
        assert.strictEqual(yield* running(device), 0)
        assert.isFalse(yield* revoked)
      }).pipe(Effect.orDie)))

  it.live("keeps its finalizer against who takes it away again and again, at leisure", () =>
    inWorld(30, ({ finalized }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const before = finalized()
        yield* Effect.repeat(Effect.andThen(takeFinalizer, Effect.sleep("200 millis")), { times: 300 })
        assert.isBelow(finalized() - before, 10)
        yield* Effect.sleep("20 seconds")
        assert.deepStrictEqual((yield* api.get(EdgeDevices, here)).metadata.finalizers, [finalizer])
      }).pipe(Effect.orDie)))

  it.live("leaves no pod that a DaemonSet made for it in place of those that went", () =>
    inWorld(28, ({ deleted, device }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* api.create(DaemonSets, {
          apiVersion: "apps/v1",
          kind: "DaemonSet",
          metadata: { namespace: "edge", name: "everywhere" },
          spec: {
            selector: { matchLabels: { set: "everywhere" } },
            template: {
              metadata: { labels: { set: "everywhere" } },
              spec: {
                containers: [{ name: "main", image: "busybox:1.36" }],
                tolerations: [{ operator: "Exists" }]
              }
            }
          }
        })
        yield* Effect.flatMap(running(device), (pods) => pods === 2 ? Effect.void : Effect.fail("not yet")).pipe(
          Effect.retry(every(60))
        )
        yield* deleted
        yield* Effect.sleep("5 seconds")
        assert.deepStrictEqual((yield* api.list(Pods)).map(({ metadata }) => metadata.name), [])
      }).pipe(Effect.orDie)))

  it.live("takes pods with it of which no watch has told yet", () =>
    inWorld(9, ({ deleted, freeze }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* freeze
        yield* api.create(Pods, { ...pod, metadata: { namespace: "edge", name: "unheard-of" } })
        yield* deleted
        assert.deepStrictEqual((yield* api.list(Pods)).map(({ metadata }) => metadata.name), [])
      })))

  it.live("leaves pods alone whose Node has become another's meanwhile, though no watch has told of that", () =>
    inWorld(31, ({ device, freeze, keepUnlisted }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* freeze
        keepUnlisted(true)
        yield* api.delete(EdgeDevices, here)
        yield* Effect.flatMap(running(device), (pods) => pods === 0 ? Effect.void : Effect.fail("not yet")).pipe(
          Effect.retry(every(60))
        )
        // As another operator does, which has taken the device over.
        const { metadata: { labels }, status } = yield* api.get(Nodes, { name: "edge-1" })
        yield* api.delete(Pods, { namespace: "edge", name: "web" }, { gracePeriodSeconds: 0 })
        yield* api.delete(Nodes, { name: "edge-1" })
        yield* api.patch(EdgeDevices, here, { type: "merge", body: { metadata: { finalizers: [] } } })
        yield* api.create(Nodes, {
          apiVersion: "v1",
          kind: "Node",
          metadata: { name: "edge-1", ...(labels === undefined ? {} : { labels }) },
          ...(status === undefined ? {} : { status })
        })
        yield* api.create(Pods, { ...pod, metadata: { namespace: "edge", name: "theirs" } })
        keepUnlisted(false)
        yield* Effect.sleep("40 seconds")
        assert.deepStrictEqual((yield* api.list(Pods)).map(({ metadata }) => metadata.name), ["theirs"])
        assert.isDefined(yield* api.get(Nodes, { name: "edge-1" }))
      })))

  it.live("begins no pod that is bound to the device while it is being wiped", () =>
    inWorld(5, ({ deleted, device }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        yield* Effect.gen(function*() {
          // Its last pod takes ten seconds to end.
          yield* Effect.sleep("5 seconds")
          assert.strictEqual(yield* running(device), 1)
          yield* api.create(Pods, { ...pod, metadata: { namespace: "edge", name: "late" } })
        }).pipe(Effect.forkChild)
        yield* deleted
        assert.lengthOf(yield* device.runtime.runs, 1)
        assert.strictEqual(yield* running(device), 0)
        assert.deepStrictEqual(yield* device.rows("assignments"), [])
      })))
})
