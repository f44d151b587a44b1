import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { KubeEvents, Secrets, Services } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { type Pod, Pods } from "../../../core/kube/Pod.ts"
import { podSources } from "../../../core/operator/podSources.ts"
import { ReferencedObjects } from "../../../core/operator/ReferencedObjects.ts"
import { ServiceIndex } from "../../../core/operator/ServiceIndex.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { worldLayer } from "../../simulation/World.ts"
import { oneDevice, operated } from "./oneDevice.ts"

const pod = (name: string): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name },
  spec: {
    nodeName: "edge-1",
    terminationGracePeriodSeconds: 5,
    containers: [{
      name: "main",
      image: "busybox:1.36",
      command: ["sleep", "1000"],
      env: [{ name: "LOGIN", valueFrom: { secretKeyRef: { name: "login", key: "user", optional: true } } }]
    }]
  }
})

/** What an API server does that does not let something be listed: the client tries again for ever, and tells nothing. */
const silence = (hidden: () => boolean, api: KubeApi["Service"], plural: string) =>
  ((resource, selection, options) =>
    hidden() && resource.plural === plural
      ? Stream.never
      : api.observe(resource, selection, options)) as typeof api.observe

describe("a pod of whose references the API server tells nothing", () => {
  it.live.each([[Secrets.plural, "secret \"login\""], [Services.plural, "services"]] as const)(
    "waits where it has not begun, says so, goes on where it has, and can be deleted: %s",
    ([plural, named]) =>
      simulate(1, () =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          const device = yield* oneDevice
          let hidden = false
          const operator = yield* operated(device, { ...api, observe: silence(() => hidden, api, plural) })
          yield* api.create(Pods, pod("old"))
          yield* Effect.sleep("1 minute")
          yield* operator.kill
          hidden = true
          yield* operator.start
          yield* Effect.sleep("1 minute")
          yield* api.create(Pods, pod("new"))
          yield* Effect.sleep("1 minute")
          const status = (name: string) =>
            Effect.map(api.get(Pods, { namespace: "edge", name }), ({ status }) => status)
          assert.strictEqual((yield* status("old"))?.phase, "Running")
          const waiting = yield* status("new")
          assert.strictEqual(waiting?.phase, "Pending")
          assert.include(waiting?.containerStatuses?.[0]?.state?.waiting?.message, named)
          const events = yield* api.list(KubeEvents, {})
          assert.lengthOf(
            events.filter(({ involvedObject, message }) =>
              involvedObject?.name === "new" && message?.includes(named) === true
            ),
            1
          )
          yield* api.delete(Pods, { namespace: "edge", name: "old" })
          yield* api.delete(Pods, { namespace: "edge", name: "new" })
          yield* Effect.sleep("1 minute")
          const left = (yield* api.list(Pods, {})).map(({ metadata }) => metadata.name)
          assert.deepStrictEqual(
            left.filter((name) => name !== "edge-1"),
            [],
            "but for the mirror of the device itself"
          )
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)),
    60_000
  )

  it.effect("leaves no watch behind when it is kept no more", () => {
    let watching = 0
    const api = Layer.mock(KubeApi, {
      observe: () =>
        Stream.never.pipe(
          Stream.onStart(Effect.sync(() => {
            watching += 1
          })),
          Stream.ensuring(Effect.sync(() => {
            watching -= 1
          }))
        )
    })
    const services = Layer.mock(ServiceIndex, { synced: Effect.void, visibleFrom: () => [] })
    return Effect.gen(function*() {
      const kept = yield* Effect.flatMap(
        podSources(() => {}),
        ({ gather }) => Effect.andThen(gather(pod("web"), { tokens: false }), Effect.never)
      ).pipe(Effect.scoped, Effect.forkChild)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(watching, 1)
      yield* Fiber.interrupt(kept)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(watching, 0)
    }).pipe(Effect.provide(Layer.mergeAll(Layer.provideMerge(ReferencedObjects.layer, api), services)))
  })
})
