/** What becomes of pods that were given up, or were about to be, when their device is back: of all of them, and at once. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { KubeApi } from "../../../../core/kube/KubeApi.ts"
import { Nodes } from "../../../../core/kube/Node.ts"
import { Pods } from "../../../../core/kube/Pod.ts"
import { isMirrorPod } from "../../../../core/node/hostPod.ts"
import { atHome, elsewhere, eventually, inScene, type Scene } from "./scene.ts"

const all = "all pods of the device, as by kubectl drain"

describe("what was deleted while its device was away", () => {
  it.live.each(["a pod", all])(
    "never begins again when the device is back, not for a moment: %s",
    (deleted) =>
      inScene(
        { stopWorkloadsAfter: "10m", replaceAfter: "15m", onReturn: "keepOriginal" },
        ({ apart, names, operator, running, runs, told, twice, wait }) =>
          Effect.gen(function*() {
            const api = yield* KubeApi
            const theirs = (yield* api.list(Pods, { namespace: "edge" })).filter((pod) =>
              pod.spec.nodeName === "edge-1" && !isMirrorPod(pod) &&
              (deleted === all || pod.metadata.name === "store-0")
            )
            const uids = new Set(theirs.map(({ metadata }) => metadata.uid))
            yield* apart(true)
            yield* wait("4 minutes")
            for (const { metadata: { name = "" } } of theirs) yield* api.delete(Pods, { namespace: "edge", name })
            yield* wait("20 minutes")
            assert.include(yield* names, "store-0 b on edge-2")
            // The next life of the operator has never seen the pods that the device holds.
            yield* operator.kill
            yield* operator.start
            yield* wait("1 minute")
            yield* apart(false)
            yield* wait("6 minutes")
            assert.include((yield* running).join(), "store-0 b")
            assert.lengthOf((yield* runs).filter(({ uid }) => uids.has(uid)), uids.size, "each ran before, and no more")
            assert.isFalse(yield* twice)
            assert.isEmpty(yield* told("OrphansHeld"))
          })
      ),
    300_000
  )

  it.live(
    "is finished once it cannot run any more, and has ended on return",
    () =>
      inScene({ stopWorkloadsAfter: "10m", replaceAfter: "15m" }, (scene) =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          yield* scene.apart(true)
          yield* scene.wait("4 minutes")
          yield* api.delete(Pods, { namespace: "edge", name: "bare" })
          yield* scene.wait("10 minutes")
          assert.include(yield* scene.names, "bare a on edge-1")
          yield* scene.wait("6 minutes")
          assert.notInclude(yield* scene.names, "bare a on edge-1")
          yield* scene.apart(false)
          yield* scene.wait("6 minutes")
          assert.notInclude((yield* scene.running).join(), "bare")
        })),
    300_000
  )
})

describe("a device that was given up by the taint node.kubernetes.io/out-of-service", () => {
  it.live(
    "ends all that was replaced once it is back, whoever holds it then",
    () =>
      inScene({}, ({ apart, names, operator, running, told, wait }) =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          const taint = { key: "node.kubernetes.io/out-of-service", effect: "NoExecute" }
          yield* apart(true)
          yield* wait("7 minutes")
          const { spec } = yield* api.get(Nodes, { name: "edge-1" })
          const taints = [...spec?.taints ?? [], taint]
          yield* api.patch(Nodes, { name: "edge-1" }, { type: "merge", body: { spec: { taints } } })
          yield* wait("5 minutes")
          assert.include(yield* names, "store-0 b on edge-2")
          assert.include((yield* running).join(), "bare a", "the device knows of nothing")
          // The next life of the operator has never seen the pods that the device holds.
          yield* operator.kill
          yield* operator.start
          yield* apart(false)
          yield* wait("6 minutes")
          assert.isEmpty(yield* told("OrphansHeld"))
          const left = (yield* running).join()
          for (const pod of ["bare a", "daemon-of-edge-1 a", "store-0 a", "web a"]) assert.notInclude(left, pod)
        })),
    300_000
  )
})

/** Out of reach, as both sides know at once. */
const away = ({ first }: Scene, yes: boolean) =>
  yes ? Effect.andThen(first.transport.refuse("Refused"), first.transport.cut()) : first.transport.refuse(undefined)

/** Its agent begins another session long after: nothing is left to do about the absence before. */
const nothingIsLeft = ({ first, names, running, status, wait }: Scene) =>
  Effect.gen(function*() {
    yield* wait("10 minutes")
    const before = [yield* names, yield* running]
    yield* wait("1 hour")
    yield* first.agent.kill
    yield* wait("10 seconds")
    yield* first.agent.start
    yield* wait("5 minutes")
    assert.deepStrictEqual([yield* names, yield* running], before)
    assert.isUndefined((yield* status)?.partition?.replaced)
  })

describe("a device that is back before its session is over", () => {
  it.live(
    "while it is written which of its pods are given up: it is settled at once",
    () =>
      inScene({ replaceAfter: "2m", allowRunningTwice: true }, (scene) =>
        Effect.gen(function*() {
          const whenNoted: Effect.Effect<void> = Effect.sync(() =>
            scene.beforeAnswer(
              "replace edgedevices",
              Effect.flatMap(scene.status, (status) =>
                status?.partition?.replaced === undefined
                  ? whenNoted
                  : Effect.andThen(away(scene, false), Effect.sleep("40 seconds")))
            )
          )
          yield* whenNoted
          yield* away(scene, true)
          yield* scene.wait("5 minutes")
          yield* nothingIsLeft(scene)
        })),
    300_000
  )

  it.live(
    "while some are given up, and the API fails: it is settled at once",
    () =>
      inScene({ replaceAfter: "2m", allowRunningTwice: true }, (scene) =>
        Effect.gen(function*() {
          scene.beforeAnswer("delete pods", Effect.andThen(away(scene, false), Effect.sleep("40 seconds")))
          scene.answers("delete pods", 1)
          yield* away(scene, true)
          yield* scene.wait("5 minutes")
          yield* nothingIsLeft(scene)
          // The one given up last may come back to the device, which is there again by then.
          const bare = (names: ReadonlyArray<string>) => names.map((name) => name.replace(/ on .*/, ""))
          assert.deepStrictEqual(bare(yield* scene.names), bare(elsewhere))
        })),
    300_000
  )

  it.live(
    "is not allowed to go on by what the operator said before it gave the pods up",
    () =>
      inScene(
        { stopWorkloadsAfter: "1m", replaceAfter: "2m" },
        ({ allReady, apart, edit, first, names, runs, twice, wait }) =>
          Effect.gen(function*() {
            yield* wait("1 minute")
            yield* apart(true)
            yield* wait("1 second")
            // Each edit is told, by a line on which nothing comes through any more.
            yield* edit({ replaceAfter: "150s" })
            yield* eventually(names, (all) => all.includes("store-0 b on edge-2"), 400)
            // What is said later comes later.
            yield* first.transport.weather({ blackHole: false, bytesPerSecond: 100 })
            yield* wait("1 minute")
            yield* apart(false)
            yield* wait("6 minutes")
            yield* allReady(5)
            assert.lengthOf((yield* runs).filter(({ pod }) => pod === "store-0 a" || pod === "web a"), 2)
            assert.isFalse(yield* twice)
          })
      ),
    300_000
  )
})

describe("a device that is back in another session", () => {
  it.live(
    "keeps its pods where none of them was touched yet, although they are noted",
    () =>
      inScene({ replaceAfter: "6m", allowRunningTwice: true }, (scene) =>
        Effect.gen(function*() {
          const admitted = (lineage: string | undefined) =>
            eventually(scene.status, (status) => status?.link?.lineageHash !== lineage, 600)
          const slowly: Effect.Effect<void> = Effect.suspend(() => {
            scene.beforeAnswer("replace edgedevices", slowly)
            return Effect.sleep("5 seconds")
          })
          yield* away(scene, true)
          yield* scene.wait("350 seconds")
          const lineage = (yield* scene.status)?.link?.lineageHash
          scene.beforeAnswer(
            "get edgedevices",
            Effect.suspend(() => {
              scene.beforeAnswer("replace edgedevices", slowly)
              return Effect.andThen(away(scene, false), admitted(lineage))
            })
          )
          yield* scene.wait("10 minutes")
          assert.deepStrictEqual(yield* scene.names, atHome)
          yield* nothingIsLeft(scene)
        })),
    300_000
  )
})

describe("a given-up pod that the API server refuses to delete", () => {
  it.live(
    "holds up neither the other pods nor the device that is back, and goes once it may",
    () =>
      inScene(
        { stopWorkloadsAfter: "10m", replaceAfter: "15m" },
        ({ apart, guard, names, running, status, told, twice, wait }) =>
          Effect.gen(function*() {
            const api = yield* KubeApi
            yield* api.create(Pods, {
              apiVersion: "v1",
              kind: "Pod",
              metadata: { namespace: "edge", name: "late" },
              spec: { nodeName: "edge-1", containers: [{ name: "main", image: "busybox:1.36" }] }
            })
            yield* eventually(running, (all) => all.includes("late a #0"))
            guard("web-")
            yield* apart(true)
            yield* wait("4 minutes")
            yield* api.delete(Pods, { namespace: "edge", name: "late" }, { gracePeriodSeconds: 600 })
            yield* wait("14 minutes")
            const waits = yield* names
            for (const pod of ["late a on edge-1", "store-0 b on edge-2", "web a on edge-1", "web b on edge-2"]) {
              assert.include(waits, pod)
            }
            yield* wait("8 minutes")
            assert.notInclude(yield* names, "late a on edge-1")
            assert.lengthOf(yield* told("ReplacedPodsStay"), 1)
            yield* apart(false)
            yield* wait("6 minutes")
            const back = (yield* running).join()
            assert.include(back, "bare a #1")
            assert.notInclude(back, "web a")
            assert.lengthOf((yield* status)?.partition?.replaced ?? [], 1)
            guard(undefined)
            yield* wait("3 minutes")
            assert.notInclude(yield* names, "web a on edge-1")
            assert.isUndefined((yield* status)?.partition?.replaced)
            assert.isFalse(yield* twice)
          })
      ),
    300_000
  )
})
