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
import { decodeCommand } from "../../../core/wire/Command.ts"
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
const strangers = Effect.fnUntraced(function*(write?: EventRecorder["Service"]["write"]) {
  const known: Pod = {
    ...pod,
    metadata: { ...pod.metadata, uid: "known" },
    status: { phase: "Failed" }
  }
  let asked = 0
  const written: Array<string | undefined> = []
  const there = new Map([["known", known]])
  const looked = new Set<string>()
  const services = Layer.mergeAll(
    QuickCryptography.layer,
    Layer.mock(KubeApi, {
      get: () =>
        Effect.suspend(() => {
          asked += 1
          return Effect.fail(new KubeApiError({ reason: "NotFound", status: 404, detail: "there is none" }))
        }),
      patch: (_resource, _place, { body }) =>
        Effect.sync(() => {
          written.push((body as Pod).status?.phase)
          return known as never
        })
    }),
    Layer.mock(PodIndex, {
      byUid: (uid) => {
        looked.add(uid)
        return there.get(uid)
      },
      byName: () => undefined,
      onNode: () => [],
      serve: () => Effect.void,
      learn: () => {}
    }),
    Layer.mock(EventRecorder, write === undefined ? {} : { write }),
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
  const report = (uid: string, number = 1, phase = "Running"): PodReport => ({
    uid,
    namespace: "edge",
    name: "web",
    number,
    status: { phase },
    finished: false
  } as unknown as PodReport)
  const removed: Array<string> = []
  /** A session in which the device says that it holds these. */
  const holding = (uids: ReadonlyArray<string>) =>
    Effect.map(
      encodeReply({ _tag: "Held", pods: uids.map((uid) => ({ uid, hash: "00", reportNumber: 0 })) }),
      (held) =>
        ({
          request: (message) =>
            Effect.map(Effect.orDie(decodeCommand(message)), (command) => {
              if (command._tag === "RemovePod") removed.push(`${command.uid} within ${command.graceSeconds} s`)
              return held
            })
        }) satisfies Pick<Session, "request"> as Partial<Session> as Session
    )
  return {
    asked: () => asked,
    written,
    tells: (uid: string, number?: number, phase?: string) =>
      Effect.match(pods.take(report(uid, number, phase)), {
        onFailure: ({ message }) => message,
        onSuccess: () => "taken"
      }),
    /** Events of the known pod, by their numbers. */
    tellsEvents: (...numbers: ReadonlyArray<number>) => {
      pods.look("known")
      const event = {
        uid: "known",
        namespace: "",
        name: "",
        fieldPath: "",
        type: "Normal",
        message: "",
        at: 0
      } as const
      return Effect.match(pods.takeEvents(numbers.map((number) => ({ ...event, number, reason: `${number}` }))), {
        onFailure: () => "keep them",
        onSuccess: () => "taken"
      })
    },
    /** The device links anew, and holds these. */
    links: (...uids: ReadonlyArray<string>) =>
      Effect.gen(function*() {
        const session = yield* holding(uids)
        pods.heldUnder(1)
        yield* SubscriptionRef.set(context.session, session)
        yield* pods.attach(session, new Uint8Array(0))
        yield* TestClock.adjust("1 second")
      }),
    leaves: SubscriptionRef.set(context.session, undefined),
    /** A pod is bound to the device's Node, and is told to end within a minute; it is there until it goes by force. */
    comes: (uid: string) => {
      there.set(uid, {
        ...pod,
        metadata: { ...pod.metadata, uid },
        spec: { ...pod.spec, terminationGracePeriodSeconds: 60 }
      })
      pods.look(uid)
      return TestClock.adjust("1 second")
    },
    goes: (uid: string) => {
      there.delete(uid)
      pods.look(uid)
      return TestClock.adjust("1 second")
    },
    /** Whether something is kept for this pod, which is not in the API. */
    isKept: (uid: string) =>
      Effect.sync(() => {
        looked.clear()
        pods.lookAtAll()
        return looked.has(uid)
      }),
    removed
  }
})

describe("a device that tells of pods that no cluster knows", () => {
  it.effect("is not listened to about more than a thousand at once, and about its own as ever", () =>
    Effect.gen(function*() {
      const { asked, links, tells } = yield* strangers()
      const all = yield* Effect.forEach(Array.from({ length: 3000 }, (_, i) => `u${i}`), tells, { concurrency: 64 })
      assert.lengthOf(all.filter((each) => each === "taken"), 1024)
      assert.strictEqual(asked(), 1024, "the API is not asked about those, either")
      assert.match(all.at(-1) ?? "", /too many/u)
      assert.strictEqual(yield* tells("u0"), "taken", "it goes on speaking of those")
      assert.strictEqual(yield* tells("known"), "taken")
      yield* links()
      assert.strictEqual(yield* tells("another"), "taken", "they are gone")
    }).pipe(Effect.scoped))
})

describe("a report that comes after a newer one", () => {
  it.effect("is taken, and not written", () =>
    Effect.gen(function*() {
      const { comes, tells, written } = yield* strangers()
      yield* comes("one")
      written.length = 0
      assert.strictEqual(yield* tells("one", 2, "Failed"), "taken")
      assert.strictEqual(yield* tells("one", 1, "Running"), "taken")
      assert.deepStrictEqual(written, ["Failed"])
    }).pipe(Effect.scoped))
})

describe("an event that cannot be written while others can", () => {
  const unwritable = new KubeApiError({ reason: "Unavailable", status: 500, detail: "not this one" })
  const oddOnes = strangers(({ reason }) => Number(reason) % 2 === 1 ? Effect.fail(unwritable) : Effect.succeed(true))

  it.effect("is given up the fifth time that it is told in a row", () =>
    Effect.gen(function*() {
      const { tellsEvents } = yield* oddOnes
      for (let i = 0; i < 4; i++) assert.strictEqual(yield* tellsEvents(2, 1), "keep them")
      assert.strictEqual(yield* tellsEvents(2, 1), "taken")
    }).pipe(Effect.scoped))

  it.effect("is forgotten when it is not told again: a device may number its events as it likes", () =>
    Effect.gen(function*() {
      const { tellsEvents } = yield* oddOnes
      for (let i = 0; i < 4; i++) assert.strictEqual(yield* tellsEvents(2, 1), "keep them")
      assert.strictEqual(yield* tellsEvents(2, 3), "keep them")
      assert.strictEqual(yield* tellsEvents(2, 1), "keep them")
    }).pipe(Effect.scoped))
})

describe("a pod that is gone from the API while its device is away", () => {
  it.effect("is not kept where the device does not hold it, and ends there should it turn out that it does", () =>
    Effect.gen(function*() {
      const { comes, goes, isKept, leaves, links, removed, tells } = yield* strangers()
      yield* links()
      yield* leaves
      yield* comes("late")
      yield* goes("late")
      assert.isFalse(yield* isKept("late"))
      // Should another operator have given it to the device, it is told of, and ends all the same.
      yield* links("late")
      yield* tells("late")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(removed, ["late within 30 s"])
    }).pipe(Effect.scoped))

  it.effect("waits for the device where that holds it, and ends there as it is to", () =>
    Effect.gen(function*() {
      const { comes, goes, isKept, leaves, links, removed } = yield* strangers()
      yield* comes("old")
      yield* links("old")
      yield* leaves
      yield* goes("old")
      assert.isTrue(yield* isKept("old"))
      yield* links("old")
      assert.deepStrictEqual(removed, ["old within 60 s"])
    }).pipe(Effect.scoped))

  it.effect("waits for the device where that has not said what it holds", () =>
    Effect.gen(function*() {
      const { comes, goes, isKept, links, removed } = yield* strangers()
      yield* comes("old")
      yield* goes("old")
      assert.isTrue(yield* isKept("old"))
      yield* links("old")
      assert.deepStrictEqual(removed, ["old within 60 s"])
    }).pipe(Effect.scoped))
})
