/** What people are told of a device that is away, and how often. Events last an hour: stories in which they are counted end before. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { KubeApi } from "../../../../core/kube/KubeApi.ts"
import { type Pod, Pods } from "../../../../core/kube/Pod.ts"
import { eventually, inScene } from "./scene.ts"

const hold = "example.com/hold"

/** Whether somebody else's finalizer keeps this pod when it is deleted. */
const held = (name: string, yes: boolean) =>
  Effect.gen(function*() {
    const api = yield* KubeApi
    yield* api.patch(Pods, { namespace: "edge", name }, {
      type: "merge",
      body: { metadata: { finalizers: yes ? [hold] : null } }
    })
  })

const find = (name: string) => Effect.flatMap(KubeApi, (api) => api.get(Pods, { namespace: "edge", name }))

const isDeleting = ({ metadata }: Pod) => metadata.deletionTimestamp !== undefined

describe("PodsReplaced", () => {
  it.live(
    "is told and counted once for a pod that somebody else's finalizer keeps after it was given up",
    () =>
      inScene(
        { stopWorkloadsAfter: "10m", replaceAfter: "15m" },
        ({ apart, names, replaced, told, wait }) =>
          Effect.gen(function*() {
            yield* held("store-0", true)
            yield* apart(true)
            yield* wait("20 minutes")
            assert.isTrue(isDeleting(yield* find("store-0")))
            yield* wait("30 minutes")
            assert.lengthOf(yield* told("PodsReplaced"), 1)
            assert.lengthOf(yield* told("ReplacedWhileDeviceIsAway"), 2)
            assert.strictEqual(replaced(), 2)
            yield* held("store-0", false)
            yield* eventually(names, (all) => all.includes("store-0 b on edge-2"))
            yield* wait("5 minutes")
            assert.lengthOf(yield* told("PodsReplaced"), 1)
            assert.strictEqual(replaced(), 2)
          })
      ),
    300_000
  )

  it.live(
    "is told and counted once for a pod that somebody else deleted and somebody else's finalizer keeps",
    () =>
      inScene(
        { stopWorkloadsAfter: "10m", replaceAfter: "15m", onReturn: "keepOriginal" },
        ({ apart, replaced, told, wait }) =>
          Effect.gen(function*() {
            const api = yield* KubeApi
            yield* held("store-0", true)
            yield* apart(true)
            yield* wait("4 minutes")
            yield* api.delete(Pods, { namespace: "edge", name: "store-0" })
            yield* wait("50 minutes")
            assert.strictEqual((yield* find("store-0")).metadata.deletionGracePeriodSeconds, 0)
            // And the one of the ReplicaSet is set aside.
            assert.lengthOf(yield* told("PodsReplaced"), 1)
            assert.strictEqual(replaced(), 2)
          })
      ),
    300_000
  )

  it.live(
    "is told and counted once for a pod that was set aside and of which no controller lets go",
    () =>
      inScene(
        { stopWorkloadsAfter: "10m", replaceAfter: "15m", onReturn: "keepOriginal" },
        ({ allReady, apart, manage, names, replaced, told, wait }) =>
          Effect.gen(function*() {
            yield* manage(false)
            yield* apart(true)
            yield* wait("50 minutes")
            assert.lengthOf(yield* told("PodsReplaced"), 1)
            assert.lengthOf(yield* told("SetAsideWhileDeviceIsAway"), 1)
            assert.strictEqual(replaced(), 1)
            yield* manage(true)
            yield* eventually(names, (all) => all.includes("web b on edge-2"))
            yield* apart(false)
            yield* wait("6 minutes")
            yield* allReady(5)
            assert.lengthOf(yield* told("PodsReplaced"), 1)
            assert.strictEqual(replaced(), 1)
          })
      ),
    300_000
  )

  it.live(
    "is told and counted once for a pod of which the watch does not tell that it is gone",
    () =>
      inScene(
        { stopWorkloadsAfter: "10m", replaceAfter: "15m", onReturn: "keepOriginal" },
        ({ apart, names, podWatch, replaced, told, wait }) =>
          Effect.gen(function*() {
            const api = yield* KubeApi
            yield* apart(true)
            yield* wait("4 minutes")
            yield* api.delete(Pods, { namespace: "edge", name: "store-0" })
            yield* wait("10 minutes")
            yield* podWatch.close
            yield* wait("30 minutes")
            assert.include(yield* names, "store-0 b on edge-2")
            assert.strictEqual(replaced(), 2)
            assert.lengthOf(yield* told("PodsReplaced"), 1)
            yield* podWatch.open
            yield* wait("5 minutes")
            assert.strictEqual(replaced(), 2)
          })
      ),
    300_000
  )
})
