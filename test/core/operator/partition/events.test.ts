/** What people are told of a device that is away, and how often. Events last an hour: stories in which they are counted end before. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { KubeEvents } from "../../../../core/kube/kinds.ts"
import { KubeApi } from "../../../../core/kube/KubeApi.ts"
import { type Pod, Pods } from "../../../../core/kube/Pod.ts"
import { atHome, bound, elsewhere, eventually, everything, inScene } from "./scene.ts"

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
            assert.strictEqual(yield* replaced, 2)
            yield* held("store-0", false)
            yield* eventually(names, (all) => all.includes("store-0 b on edge-2"))
            yield* wait("5 minutes")
            assert.lengthOf(yield* told("PodsReplaced"), 1)
            assert.strictEqual(yield* replaced, 2)
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
            assert.strictEqual(yield* replaced, 2)
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
            assert.strictEqual(yield* replaced, 1)
            yield* manage(true)
            yield* eventually(names, (all) => all.includes("web b on edge-2"))
            yield* apart(false)
            yield* wait("6 minutes")
            yield* allReady(5)
            assert.lengthOf(yield* told("PodsReplaced"), 1)
            assert.strictEqual(yield* replaced, 1)
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
            assert.strictEqual(yield* replaced, 2)
            assert.lengthOf(yield* told("PodsReplaced"), 1)
            yield* podWatch.open
            yield* wait("5 minutes")
            assert.strictEqual(yield* replaced, 2)
          })
      ),
    300_000
  )

  it.live(
    "is told of what was given up before the API failed, and then of the rest",
    () =>
      inScene(
        { stopWorkloadsAfter: "10m", replaceAfter: "15m", onReturn: "keepOriginal" },
        ({ answers, apart, replaced, told, wait }) =>
          Effect.gen(function*() {
            const api = yield* KubeApi
            yield* apart(true)
            yield* wait("4 minutes")
            for (const name of ["store-0", "bare"]) yield* api.delete(Pods, { namespace: "edge", name })
            answers("delete pods", 1)
            yield* wait("30 minutes")
            assert.lengthOf(yield* told("PodsReplaced"), 2)
            assert.strictEqual(yield* replaced, 3)
          })
      ),
    300_000
  )

  it.live.each([0, 1])(
    "is told and counted once for a pod that was set Failed before the API failed, and its object goes (after %i)",
    (times) =>
      inScene(
        { stopWorkloadsAfter: "10m", replaceAfter: "15m" },
        ({ answers, apart, names, replaced, told, wait }) =>
          Effect.gen(function*() {
            yield* apart(true)
            answers("delete pods", times)
            yield* wait("30 minutes")
            assert.deepStrictEqual(yield* names, elsewhere)
            assert.lengthOf(yield* told("ReplacedWhileDeviceIsAway"), 2)
            assert.strictEqual(yield* replaced, 2)
          })
      ),
    300_000
  )

  it.live(
    "is told of a pod that was changed meanwhile only once it is set aside as it is by then",
    () =>
      inScene(
        { stopWorkloadsAfter: "10m", replaceAfter: "15m", onReturn: "keepOriginal" },
        ({ apart, podWatch, replaced, told, wait }) =>
          Effect.gen(function*() {
            const api = yield* KubeApi
            yield* apart(true)
            yield* wait("14 minutes")
            yield* podWatch.close
            for (const { metadata: { labels, name = "" } } of yield* api.list(Pods, { namespace: "edge" })) {
              if (labels?.["app"] !== "web") continue
              yield* api.patch(Pods, { namespace: "edge", name }, {
                type: "merge",
                body: { metadata: { labels: { tier: "front" } } }
              })
            }
            yield* wait("15 minutes")
            assert.isEmpty(yield* told("SetAsideWhileDeviceIsAway"))
            assert.isEmpty(yield* told("PodsReplaced"))
            yield* podWatch.open
            yield* wait("1 minute")
            assert.lengthOf(yield* told("SetAsideWhileDeviceIsAway"), 1)
            assert.lengthOf(yield* told("PodsReplaced"), 1)
            assert.strictEqual(yield* replaced, 1)
          })
      ),
    300_000
  )
})

describe("DeviceDisconnected and DeviceConnected", () => {
  it.live(
    "are told once each of an absence that outlasts the grace, and not at all of a shorter one",
    () =>
      inScene({}, ({ apart, first, told, wait }) =>
        Effect.gen(function*() {
          yield* first.transport.cut()
          yield* wait("4 minutes")
          assert.isEmpty(yield* told("DeviceDisconnected"))
          assert.isEmpty(yield* told("DeviceConnected"))
          yield* apart(true)
          yield* wait("20 minutes")
          assert.deepStrictEqual(yield* told("DeviceDisconnected"), [
            "EdgeDevice DeviceDisconnected: the link to the device is down; what it runs goes on"
          ])
          assert.isEmpty(yield* told("DeviceConnected"))
          yield* apart(false)
          yield* wait("10 minutes")
          assert.lengthOf(yield* told("DeviceDisconnected"), 1)
          assert.deepStrictEqual(yield* told("DeviceConnected"), [
            "EdgeDevice DeviceConnected: the device is connected again"
          ])
        })),
    300_000
  )
})

describe("SetAsideWhileDeviceIsAway", () => {
  it.live("is told of the pod that another stands in for, and of no other", () =>
    inScene(
      { stopWorkloadsAfter: "10m", replaceAfter: "15m", onReturn: "keepOriginal" },
      ({ apart, told, wait }) =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          const web = (yield* api.list(Pods, { labelSelector: "app=web" })).map(({ metadata }) => metadata.uid)
          yield* apart(true)
          yield* wait("30 minutes")
          assert.deepStrictEqual(yield* told("SetAsideWhileDeviceIsAway"), [
            "Pod SetAsideWhileDeviceIsAway: another pod stands in for this one until its device is back"
          ])
          const about = (yield* api.list(KubeEvents, {})).filter(({ reason }) => reason === "SetAsideWhileDeviceIsAway")
          assert.deepStrictEqual(about.map(({ involvedObject }) => involvedObject?.uid), web)
          assert.isEmpty(yield* told("ReplacedWhileDeviceIsAway"))
        })
    ), 300_000)
})

describe("ReplacementHeld", () => {
  it.live(
    "is told anew of another absence, once what was not confirmed in the first is in force",
    () =>
      inScene({}, ({ apart, edit, names, status, told, wait }) =>
        Effect.gen(function*() {
          for (const time of [1, 2]) {
            yield* apart(true)
            yield* wait("6 minutes")
            yield* edit({ stopWorkloadsAfter: "1m", replaceAfter: "2m" })
            yield* wait("6 minutes")
            assert.lengthOf(yield* told("ReplacementHeld"), time)
            yield* apart(false)
            yield* wait("6 minutes")
            assert.deepStrictEqual((yield* status)?.partition, { stopWorkloadsAfter: "1m" })
            yield* edit({ stopWorkloadsAfter: null, replaceAfter: null })
            yield* wait("1 minute")
          }
          assert.deepStrictEqual(yield* names, atHome)
        })),
    300_000
  )
})

describe("PartitionPolicyNotInForce", () => {
  const notInForce = "EdgeDevice PartitionPolicyNotInForce: the agent on the device is too old for "
    + "spec.partition.stopWorkloadsAfter: it will not stop its workloads, and nothing of it is replaced unless "
    + "spec.partition.allowRunningTwice is true"

  it.live(
    "is told of an agent that knows of no leash: it runs on, and nothing of it is replaced",
    () =>
      inScene(
        { stopWorkloadsAfter: "10m", replaceAfter: "15m" },
        ({ apart, names, replaced, running, status, told, twice, wait }) =>
          Effect.gen(function*() {
            assert.deepStrictEqual(yield* told("PartitionPolicyNotInForce"), [notInForce])
            assert.isUndefined((yield* status)?.partition)
            yield* apart(true)
            yield* wait("40 minutes")
            assert.deepStrictEqual(yield* names, atHome)
            assert.deepStrictEqual(yield* running, everything)
            assert.lengthOf(yield* told("ReplacementHeld"), 1)
            assert.strictEqual(yield* replaced, 0)
            yield* apart(false)
            yield* wait("6 minutes")
            assert.deepStrictEqual(yield* names, atHome)
            assert.deepStrictEqual(yield* running, everything)
            assert.isFalse(yield* twice)
          }),
        { older: true }
      ),
    300_000
  )

  it.live(
    "is told of an agent that took the place of one that could, whose word counts no more",
    () =>
      inScene(
        { stopWorkloadsAfter: "10m", replaceAfter: "15m" },
        ({ apart, exchangeAgent, names, replaced, status, told, wait }) =>
          Effect.gen(function*() {
            assert.isEmpty(yield* told("PartitionPolicyNotInForce"))
            assert.deepStrictEqual((yield* status)?.partition, { stopWorkloadsAfter: "10m" })
            yield* exchangeAgent(true)
            yield* wait("3 minutes")
            assert.deepStrictEqual(yield* told("PartitionPolicyNotInForce"), [notInForce])
            assert.isUndefined((yield* status)?.partition)
            yield* apart(true)
            yield* wait("40 minutes")
            assert.deepStrictEqual(yield* names, atHome)
            assert.strictEqual(yield* replaced, 0)
          })
      ),
    300_000
  )

  it.live(
    "is told no more once the agent is one that can, and its pods are replaced then",
    () =>
      inScene(
        { stopWorkloadsAfter: "10m", replaceAfter: "15m" },
        ({ apart, exchangeAgent, names, status, told, twice, wait }) =>
          Effect.gen(function*() {
            yield* exchangeAgent(false)
            yield* wait("3 minutes")
            assert.deepStrictEqual((yield* status)?.partition, { stopWorkloadsAfter: "10m" })
            yield* apart(true)
            yield* wait("25 minutes")
            assert.deepStrictEqual(yield* names, elsewhere)
            assert.lengthOf(yield* told("PartitionPolicyNotInForce"), 1)
            assert.isEmpty(yield* told("ReplacementHeld"))
            assert.isFalse(yield* twice)
          }),
        { older: true }
      ),
    300_000
  )

  it.live(
    "is not told where there is nothing to enforce, and with allowRunningTwice what was replaced ends on return",
    () =>
      inScene(
        { replaceAfter: "15m", allowRunningTwice: true },
        ({ allReady, apart, edit, names, running, status, told, wait }) =>
          Effect.gen(function*() {
            yield* apart(true)
            yield* wait("25 minutes")
            assert.deepStrictEqual(yield* names, elsewhere)
            assert.deepStrictEqual(yield* running, [...everything, "store-0 b #0", "web b #0"].sort())
            yield* apart(false)
            yield* wait("6 minutes")
            yield* allReady(5)
            assert.deepStrictEqual(yield* running, [...bound, "store-0 b #0", "web b #0"])
            assert.isUndefined((yield* status)?.partition)
            assert.isEmpty(yield* told("PartitionPolicyNotInForce"))
            for (const times of [1, 2]) {
              yield* edit({ stopWorkloadsAfter: "10m" })
              yield* wait("1 minute")
              assert.deepStrictEqual(
                yield* told("PartitionPolicyNotInForce"),
                Array.from({ length: times }, () => notInForce)
              )
              yield* edit({ stopWorkloadsAfter: null })
              yield* wait("1 minute")
            }
          }),
        { older: true }
      ),
    300_000
  )
})
