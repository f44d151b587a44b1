/** The keeper of one pod between a cluster and a device that are both played here, request by request. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Layer, Logger, SubscriptionRef } from "effect"
import { TestClock } from "effect/testing"
import { decodeEdgeDevice } from "../../../core/device/decodeEdgeDevice.ts"
import type { TokenRequest } from "../../../core/kube/kinds.ts"
import { KubeApi, KubeApiError } from "../../../core/kube/KubeApi.ts"
import type { Pod } from "../../../core/kube/Pod.ts"
import { LinkError, type Session } from "../../../core/link/Session.ts"
import { devicePods } from "../../../core/operator/devicePods.ts"
import { EventRecorder } from "../../../core/operator/EventRecorder.ts"
import { PodIndex } from "../../../core/operator/PodIndex.ts"
import { ReferencedObjects } from "../../../core/operator/ReferencedObjects.ts"
import { ServiceIndex } from "../../../core/operator/ServiceIndex.ts"
import type { PodReport } from "../../../core/pod/PodReport.ts"
import { type Command, decodeCommand } from "../../../core/wire/Command.ts"
import type { NodeReport } from "../../../core/wire/Event.ts"
import { encodeReply, type Reply } from "../../../core/wire/Reply.ts"
import { QuickCryptography } from "../../fakes/QuickCryptography.ts"

const web: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name: "web", uid: "u-web", resourceVersion: "7" },
  spec: {
    nodeName: "edge-1",
    automountServiceAccountToken: false,
    containers: [{ name: "main", image: "busybox:1.36", volumeMounts: [{ name: "vault", mountPath: "/vault" }] }],
    volumes: [{ name: "vault", projected: { sources: [{ serviceAccountToken: { path: "token" } }] } }]
  },
  status: { phase: "Pending" }
}

/** A served device; what the API and its watch of pods have, and what the device answers, is up to the story. */
const scene = Effect.fnUntraced(function*(answer: (command: Command) => Reply | Effect.Effect<Reply, LinkError>) {
  const cluster: { api: Pod | undefined; watched: Pod | undefined } = { api: web, watched: web }
  let looks = 0
  let tokens = 0
  const commands: Array<Command["_tag"]> = []
  const told: Array<string> = []
  const services = Layer.mergeAll(
    QuickCryptography.layer,
    Layer.mock(KubeApi, {
      get: () =>
        Effect.suspend(() =>
          cluster.api === undefined
            ? Effect.fail(new KubeApiError({ reason: "NotFound", status: 404, detail: "there is none" }))
            : Effect.succeed(cluster.api as never)
        ),
      list: () => Effect.sync(() => (cluster.api === undefined ? [] : [cluster.api]) as never),
      patch: () => Effect.sync(() => cluster.api as never),
      delete: () => Effect.sync(() => void (cluster.api = cluster.watched = undefined)),
      create: ((_: unknown, request: TokenRequest) =>
        Effect.sync(() => ({
          ...request,
          spec: { ...request.spec, expirationSeconds: 3600 },
          status: { token: `token-${tokens += 1}`, expirationTimestamp: "" }
        }))) as unknown as KubeApi["Service"]["create"]
    }),
    Layer.mock(PodIndex, {
      byUid: () => {
        looks += 1
        return cluster.watched
      },
      byName: () => undefined,
      onNode: () => cluster.watched === undefined ? [] : [cluster.watched],
      serve: () => Effect.void,
      learn: () => {}
    }),
    Layer.mock(EventRecorder, {
      record: ({ message, reason }) => Effect.sync(() => void (reason === "FailedSync" && told.push(message)))
    }),
    Layer.mock(ReferencedObjects, {}),
    Layer.mock(ServiceIndex, { synced: Effect.void, visibleFrom: () => [] })
  )
  const context = {
    key: "edge/edge-1",
    namespace: "edge",
    name: "edge-1",
    uid: "u-1",
    device: yield* SubscriptionRef.make(
      yield* decodeEdgeDevice({
        metadata: { namespace: "edge", name: "edge-1", uid: "u-1" },
        spec: { connectivity: { method: "grpc" } }
      })
    ),
    session: yield* SubscriptionRef.make<Session | undefined>(undefined),
    nodeReport: yield* SubscriptionRef.make<NodeReport | undefined>({} as NodeReport),
    owned: yield* SubscriptionRef.make<boolean | undefined>(true),
    clockOffset: () => 0,
    hold: { epoch: () => 1, stands: () => Effect.succeed(true), standsYet: Effect.succeed(true) },
    leaving: () => false
  }
  const pods = yield* devicePods(context, {
    resolveSettings: () => ({
      nodeName: "edge-1",
      operatingSystem: "linux",
      allowServiceAccountTokens: true,
      clusterDomain: "cluster.local",
      clusterDns: [],
      dns: { servers: [], searches: [], options: [] },
      allocatable: { cpuMillis: 1000, memoryBytes: 1e9, storageBytes: 1e9 }
    }),
    wasReplaced: () => false,
    mayReleaseOrphans: () => false,
    mirrorChanged: () => {}
  }).pipe(Effect.provide(services))
  const session = {
    connected: yield* SubscriptionRef.make(true),
    request: (message: Uint8Array) =>
      Effect.gen(function*() {
        const command = yield* Effect.orDie(decodeCommand(message))
        commands.push(command._tag)
        const reply = answer(command)
        return yield* Effect.orDie(encodeReply(Effect.isEffect(reply) ? yield* reply : reply))
      })
  } as unknown as Session
  return {
    cluster,
    commands,
    told,
    looks: () => looks,
    links: SubscriptionRef.set(context.session, session).pipe(
      Effect.andThen(pods.attach(session, new Uint8Array(0))),
      Effect.andThen(TestClock.adjust("1 second"))
    ),
    leaves: SubscriptionRef.set(context.session, undefined),
    look: Effect.sync(() => pods.look("u-web")),
    tells: (report: Partial<PodReport>) =>
      pods.take({
        uid: "u-web",
        namespace: "edge",
        name: "web",
        number: 1,
        status: { phase: "Running" },
        finished: false,
        ...report
      })
  }
})

const done: Reply = { _tag: "Done" }
const holds = (...uids: ReadonlyArray<string>): Reply => ({
  _tag: "Held",
  pods: uids.map((uid) => ({ uid, hash: "00", reportNumber: 0 })) as never
})

describe("the keeper of a pod", () => {
  it.effect("rests while the device is away, though the pod's tokens grow old", () =>
    Effect.gen(function*() {
      const { commands, leaves, links, looks } = yield* scene(({ _tag }) => _tag === "ListHeld" ? holds() : done)
      yield* links
      assert.deepStrictEqual(commands, ["ListHeld", "AssignPod"])
      yield* TestClock.adjust("50 minutes")
      assert.deepStrictEqual(commands, ["ListHeld", "AssignPod", "Tokens"], "it is awake while the device is there")
      yield* leaves
      const before = looks()
      yield* TestClock.adjust("2 hours")
      assert.isBelow(looks() - before, 10)
    }).pipe(Effect.scoped))

  it.effect("has the device forget what is over once more where it did not answer", () =>
    Effect.gen(function*() {
      let forgets = 0
      const timeout = new LinkError({ reason: "Timeout", detail: "no answer" })
      const { cluster, commands, links, look, tells } = yield* scene(({ _tag }) => {
        if (_tag === "ListHeld") return holds("u-web")
        if (_tag !== "ForgetPod") return done
        forgets += 1
        return forgets > 1 ? done : Effect.delay(timeout, "20 seconds")
      })
      const metadata = { ...web.metadata, deletionTimestamp: "2026-01-01T00:00:00Z", deletionGracePeriodSeconds: 30 }
      cluster.api = cluster.watched = { ...web, metadata, status: { phase: "Running" } }
      yield* links
      assert.deepStrictEqual(commands, ["ListHeld", "RemovePod"])
      yield* tells({ finished: true, status: { phase: "Succeeded" } })
      // As the watch tells of its end.
      yield* look
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(commands, ["ListHeld", "RemovePod", "ForgetPod", "ForgetPod"])
    }).pipe(Effect.scoped))

  it.effect("has the device end what it cannot read and the API does not have", () =>
    Effect.gen(function*() {
      const { cluster, commands, links } = yield* scene(({ _tag }) =>
        _tag === "ListHeld"
          ? { _tag: "Held", pods: [{ uid: "u-other", hash: "", reportNumber: 0 }] }
          : _tag === "RemovePod"
          ? { _tag: "Failure", code: "NotFound", detail: "there is no such pod" }
          : done
      )
      cluster.watched = undefined
      cluster.api = { ...web, metadata: { ...web.metadata, uid: "u-other" } }
      yield* links
      assert.deepStrictEqual(commands, ["ListHeld"], "the watch may not have caught up")
      cluster.api = undefined
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(commands, ["ListHeld", "RemovePod"])
    }).pipe(Effect.scoped))

  it.effect("tells once that the device does not take the pod, and goes on trying", () =>
    Effect.gen(function*() {
      const timeout = new LinkError({ reason: "Timeout", detail: "no reply within 60 s to 3812 bytes" })
      const { commands, links, told } = yield* scene(({ _tag }) =>
        _tag === "ListHeld" ? holds() : _tag === "AssignPod" ? Effect.delay(timeout, "60 seconds") : done
      )
      yield* links
      yield* TestClock.adjust("90 seconds")
      assert.deepStrictEqual(told, [])
      yield* TestClock.adjust("1 hour")
      assert.isAbove(commands.length, 20)
      assert.lengthOf(told, 1)
      assert.include(
        told[0],
        "the device did not take the pod, twice in a row: no reply within 60 s to 3812 bytes"
      )
    }).pipe(Effect.scoped))

  const refusing = scene(({ _tag }) =>
    _tag === "ListHeld"
      ? holds()
      : _tag === "AssignPod"
      ? { _tag: "Failure", code: "Unsupported", detail: "not this one" }
      : done
  )
  const deleted: Pod = { ...web, metadata: { ...web.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } }

  it.effect("hears of its deletion while it pauses, and of nothing else that is no reason to try again", () =>
    Effect.gen(function*() {
      const { cluster, commands, links, look } = yield* refusing
      yield* links
      for (let seconds = 0; seconds < 300; seconds += 5) {
        // As where its status is written.
        cluster.api = cluster.watched = { ...web, metadata: { ...web.metadata, resourceVersion: `1${seconds}` } }
        yield* look
        yield* TestClock.adjust("5 seconds")
      }
      assert.isBelow(commands.filter((each) => each === "AssignPod").length, 16)
      assert.notInclude(commands, "RemovePod")
      cluster.api = cluster.watched = deleted
      yield* look
      yield* TestClock.adjust("1 second")
      assert.strictEqual(commands.at(-1), "RemovePod")
    }).pipe(Effect.scoped))

  it.effect("begins its back-off anew with another spec", () =>
    Effect.gen(function*() {
      const { cluster, commands, links, look } = yield* refusing
      yield* links
      yield* TestClock.adjust("5 minutes")
      const before = commands.length
      cluster.api = cluster.watched = { ...web, spec: { ...web.spec, activeDeadlineSeconds: 60 } }
      yield* look
      yield* TestClock.adjust("1 second")
      assert.isAtLeast(commands.length - before, 2)
    }).pipe(Effect.scoped))

  it.effect("gives an assignment up that is under way when the pod is deleted, and has the device end what it may have taken", () =>
    Effect.gen(function*() {
      let asked = 0
      const { cluster, commands, links, look } = yield* scene(({ _tag }) => {
        if (_tag === "ListHeld") return holds()
        if (_tag !== "AssignPod") return done
        asked += 1
        return Effect.never.pipe(Effect.ensuring(Effect.sync(() => void (asked -= 1))))
      })
      yield* links
      assert.strictEqual(asked, 1)
      cluster.api = cluster.watched = deleted
      yield* look
      yield* TestClock.adjust("1 second")
      assert.strictEqual(asked, 0)
      assert.deepStrictEqual(commands, ["ListHeld", "AssignPod", "RemovePod"])
    }).pipe(Effect.scoped))

  it.effect("is there again after a fault of ours, which is told of in the log and in an event", () => {
    const logged: Array<string> = []
    return Effect.gen(function*() {
      let broken = true
      const { commands, links, told } = yield* scene(({ _tag }) =>
        _tag === "ListHeld" ? holds() : _tag === "AssignPod" && broken ? Effect.die(new Error("a fault")) : done
      )
      yield* links
      yield* TestClock.adjust("10 minutes")
      const before = commands.length
      assert.isAbove(before, 8)
      assert.isBelow(before, 40, "it pauses")
      assert.match(logged[0] ?? "", /pod edge\/web \(u-web\) on edge\/edge-1 could not be kept.*a fault/su)
      assert.match(told[0] ?? "", /internal error/u)
      broken = false
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(commands.slice(before), ["AssignPod"])
    }).pipe(
      Effect.scoped,
      Effect.provide(Logger.layer([
        Logger.make(({ cause, logLevel, message }) => {
          if (logLevel === "Error") logged.push(`${String(message)} ${Cause.pretty(cause)}`)
        })
      ]))
    )
  })
})
