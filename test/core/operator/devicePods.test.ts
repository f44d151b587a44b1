import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream, SubscriptionRef } from "effect"
import { TestClock } from "effect/testing"
import { decodeEdgeDevice } from "../../../core/device/decodeEdgeDevice.ts"
import { KubeApi, KubeApiError } from "../../../core/kube/KubeApi.ts"
import { type Pod, Pods } from "../../../core/kube/Pod.ts"
import type { Session } from "../../../core/link/Session.ts"
import { devicePods } from "../../../core/operator/devicePods.ts"
import { EventRecorder } from "../../../core/operator/EventRecorder.ts"
import { PodIndex } from "../../../core/operator/PodIndex.ts"
import { ReferencedObjects } from "../../../core/operator/ReferencedObjects.ts"
import { ServiceIndex } from "../../../core/operator/ServiceIndex.ts"
import type { PodReport } from "../../../core/pod/PodReport.ts"
import type { ResolveSettings } from "../../../core/pod/resolve/Resolution.ts"
import type { NodeReport } from "../../../core/wire/Event.ts"
import { encodeReply } from "../../../core/wire/Reply.ts"
import { QuickCryptography } from "../../fakes/QuickCryptography.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { worldLayer } from "../../simulation/World.ts"
import { oneDevice, operated } from "./oneDevice.ts"

const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name: "web" },
  spec: {
    nodeName: "edge-1",
    containers: [{
      name: "main",
      image: "busybox:1.36",
      command: ["sleep", "1000"],
      env: [{ name: "LOGIN", valueFrom: { secretKeyRef: { name: "login", key: "user", optional: true } } }]
    }]
  }
}

describe("a pod that a device was told of as it went away", () => {
  it.live(
    "is kept no more once it is gone from the API and the device is back without it",
    () =>
      simulate(1, () =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          const device = yield* oneDevice
          let watching = 0
          const count = (by: number) =>
            Effect.sync(() => {
              watching += by
            })
          const observe = ((resource, selection, options) => {
            const seen = api.observe(resource, selection, options)
            return resource.plural === "secrets"
              ? seen.pipe(Stream.onStart(count(1)), Stream.ensuring(count(-1)))
              : seen
          }) as typeof api.observe
          yield* operated(device, { ...api, observe })
          const before = watching
          yield* device.transport.weather({ blackHole: true })
          yield* api.create(Pods, pod)
          yield* Effect.sleep("20 minutes")
          assert.strictEqual(watching, before + 1, "its keeper waits for the device")
          yield* api.delete(Pods, { namespace: "edge", name: "web" }, { gracePeriodSeconds: 0 })
          // A line as long as real ones: what the device holds is told after all that it says by itself.
          yield* device.transport.weather({ blackHole: false, delayMillis: [200, 200] })
          yield* Effect.sleep("8 minutes")
          assert.strictEqual(watching, before)
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)),
    60_000
  )
})

/** The pods of a device whose cluster has but one, which tells of it, and knows nothing of any other. */
const strangers = Effect.gen(function*() {
  const known: Pod = {
    ...pod,
    metadata: { ...pod.metadata, uid: "known" },
    status: { phase: "Failed" }
  }
  let asked = 0
  const services = Layer.mergeAll(
    QuickCryptography.layer,
    Layer.mock(KubeApi, {
      get: () =>
        Effect.suspend(() => {
          asked += 1
          return Effect.fail(new KubeApiError({ reason: "NotFound", status: 404, detail: "there is none" }))
        }),
      patch: () => Effect.succeed(known as never)
    }),
    Layer.mock(PodIndex, {
      byUid: (uid) => uid === "known" ? known : undefined,
      byName: () => undefined,
      onNode: () => [],
      serve: () => Effect.void,
      learn: () => {}
    }),
    Layer.mock(EventRecorder, {}),
    Layer.mock(ReferencedObjects, {}),
    Layer.mock(ServiceIndex, { visibleFrom: () => [] })
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
    nodeReport: yield* SubscriptionRef.make<NodeReport | undefined>(undefined),
    owned: yield* SubscriptionRef.make<boolean | undefined>(true),
    clockOffset: () => 0,
    hold: { epoch: () => 1, stands: () => Effect.succeed(true), standsYet: Effect.succeed(true) },
    leaving: () => false
  }
  const pods = yield* devicePods(context, {
    resolveSettings: () => ({}) as ResolveSettings,
    wasReplaced: () => false,
    mayReleaseOrphans: () => false,
    mirrorChanged: () => {}
  }).pipe(Effect.provide(services))
  const report = (uid: string): PodReport => ({
    uid,
    namespace: "edge",
    name: "web",
    number: 1,
    status: { phase: "Running" },
    finished: false
  } as unknown as PodReport)
  const nothingHeld = yield* encodeReply({ _tag: "Held", pods: [] })
  const session: Pick<Session, "request"> = { request: () => Effect.succeed(nothingHeld) }
  return {
    asked: () => asked,
    tells: (uid: string) =>
      Effect.match(pods.take(report(uid)), { onFailure: ({ message }) => message, onSuccess: () => "taken" }),
    /** The device links anew, and holds nothing. */
    links: SubscriptionRef.set(context.session, session as Session).pipe(
      Effect.andThen(pods.attach(session as Session, new Uint8Array(0))),
      Effect.andThen(TestClock.adjust("1 second"))
    )
  }
})

describe("a device that tells of pods that no cluster knows", () => {
  it.effect("is not listened to about more than a thousand at once, and about its own as ever", () =>
    Effect.gen(function*() {
      const { asked, links, tells } = yield* strangers
      const all = yield* Effect.forEach(Array.from({ length: 3000 }, (_, i) => `u${i}`), tells, { concurrency: 64 })
      assert.lengthOf(all.filter((each) => each === "taken"), 1024)
      assert.strictEqual(asked(), 1024, "the API is not asked about those, either")
      assert.match(all.at(-1) ?? "", /too many/u)
      assert.strictEqual(yield* tells("u0"), "taken", "it goes on speaking of those")
      assert.strictEqual(yield* tells("known"), "taken")
      yield* links
      assert.strictEqual(yield* tells("another"), "taken", "they are gone")
    }).pipe(Effect.scoped))
})
