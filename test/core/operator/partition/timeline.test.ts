/** What happens when to whom while a device is away and when it is back, for each policy. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { EdgeDevices } from "../../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../../core/kube/KubeApi.ts"
import { Pods } from "../../../../core/kube/Pod.ts"
import { asideAnnotation, deletionCost, favouredAnnotation } from "../../../../core/node/setAside.ts"
import { atHome, elsewhere, eventually, everything, inScene, kinds, onTheFirst, workload } from "./scene.ts"

const marks = new Set([asideAnnotation, deletionCost, favouredAnnotation])

/** Something that can run on the first device alone, and does not mind whether it is there. */
const pinned = (kind: keyof typeof kinds) => {
  const { spec, ...head } = workload(kind)
  const labels = { app: "pinned" }
  return {
    ...head,
    metadata: { namespace: "edge", name: "pinned" },
    spec: {
      ...spec,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          ...spec.template.spec,
          nodeSelector: { "kubernetes.io/hostname": "edge-1" },
          tolerations: [{ operator: "Exists" }]
        }
      }
    }
  }
}

const always = { onReturn: "keepReplacement" } as const

describe("a device that is away", () => {
  it.live(
    "keep: nothing happens, however long it takes",
    () =>
      inScene({}, ({ allReady, apart, names, node, running, told, wait }) =>
        Effect.gen(function*() {
          yield* apart(true)
          yield* wait("4 minutes")
          assert.deepInclude(yield* node, { ready: "True", connected: "LinkDown" })
          assert.include((yield* node).taints, "arhat.dev/disconnected:NoSchedule")
          assert.lengthOf(yield* told("DeviceDisconnected"), 1)
          yield* wait("6 hours")
          assert.deepInclude(yield* node, { ready: "True", connected: "LinkDown" })
          assert.deepStrictEqual(yield* names, atHome)
          assert.deepStrictEqual(yield* running, everything)
          yield* apart(false)
          yield* wait("5 minutes")
          yield* allReady(5)
          assert.deepStrictEqual(yield* names, atHome)
          assert.deepStrictEqual(yield* running, everything)
          assert.deepInclude(yield* node, { ready: "True", connected: "Connected" })
        })),
    300_000
  )

  it.live(
    "notReadyAfter: the Node says so in time and goes on saying so over a restart, nothing is evicted",
    () =>
      inScene(
        { notReadyAfter: "10m" },
        ({ allReady, apart, names, node, operator, running, wait }) =>
          Effect.gen(function*() {
            yield* apart(true)
            // It takes 135 s until the silence is taken for an absence.
            yield* wait("11 minutes")
            assert.strictEqual((yield* node).ready, "True")
            yield* wait("2 minutes")
            assert.deepInclude(yield* node, { ready: "False", why: "DeviceDisconnected", connected: "LinkDown" })
            assert.include((yield* node).taints, "node.kubernetes.io/not-ready:NoExecute")
            yield* operator.kill
            yield* wait("5 minutes")
            yield* operator.start
            yield* wait("1 minute")
            assert.deepInclude(yield* node, { ready: "False", why: "DeviceDisconnected", connected: "LinkDown" })
            yield* wait("2 hours")
            assert.deepStrictEqual(yield* names, atHome)
            assert.deepStrictEqual(yield* running, everything)
            yield* apart(false)
            yield* wait("5 minutes")
            yield* allReady(5)
            assert.deepInclude(yield* node, { ready: "True", connected: "Connected" })
            assert.deepStrictEqual(yield* running, everything)
          })
      ),
    300_000
  )

  it.live(
    "stopWorkloadsAfter: the device ends them itself in time, the objects stay, and they go on when it is back",
    () =>
      inScene(
        { stopWorkloadsAfter: "10m" },
        ({ allReady, apart, names, pods, runs, running, status, time, wait }) =>
          Effect.gen(function*() {
            yield* wait("1 hour")
            assert.deepStrictEqual(yield* running, everything, "a quiet link is no absence")
            assert.deepStrictEqual((yield* status)?.partition, { stopWorkloadsAfter: "10m" })
            const cut = time.now
            yield* apart(true)
            yield* wait(620_000)
            const ended = (yield* runs).filter(({ finishedAt }) => finishedAt !== undefined)
            assert.lengthOf(ended, 4)
            for (const { finishedAt = 0 } of ended) {
              // From the last word that was acknowledged, which is at most a beat before the cut.
              assert.isAtLeast(finishedAt - cut, 8 * 60_000)
              assert.isAtMost(finishedAt - cut, 10 * 60_000 + 15_000)
            }
            assert.deepStrictEqual(yield* names, atHome)
            yield* wait("2 hours")
            assert.deepStrictEqual(yield* running, ["daemon-of-edge-2 a #0"])
            yield* apart(false)
            yield* wait("5 minutes")
            yield* allReady(5)
            assert.deepStrictEqual(yield* names, atHome)
            assert.deepStrictEqual((yield* pods).map(({ restarts }) => restarts), [1, 1, 0, 1, 1])
          })
      ),
    300_000
  )

  it.live(
    "stopWorkloadsAfter < replaceAfter: controllers replace what had ended before; what had none stays",
    () =>
      inScene(
        { stopWorkloadsAfter: "10m", replaceAfter: "15m", notReadyAfter: "5m" },
        ({ allReady, apart, names, node, running, runs, status, told, twice, wait }) =>
          Effect.gen(function*() {
            yield* apart(true)
            yield* wait("14 minutes")
            assert.strictEqual((yield* node).ready, "False")
            assert.deepStrictEqual(yield* running, ["daemon-of-edge-2 a #0"])
            assert.deepStrictEqual(yield* names, atHome, "nothing is given up before its time")
            yield* wait("5 minutes")
            yield* eventually(names, (all) => all.length === 5)
            assert.deepStrictEqual(yield* names, elsewhere)
            assert.lengthOf(yield* told("PodsReplaced"), 1)
            assert.lengthOf(yield* told("ReplacedWhileDeviceIsAway"), 2)
            assert.lengthOf((yield* status)?.partition?.replaced ?? [], 2)
            yield* wait("2 hours")
            yield* apart(false)
            yield* wait("5 minutes")
            yield* allReady(5)
            assert.deepStrictEqual(yield* running, [
              "bare a #1",
              "daemon-of-edge-1 a #1",
              "daemon-of-edge-2 a #0",
              "store-0 b #0",
              "web b #0"
            ])
            assert.lengthOf((yield* runs).filter(({ pod }) => pod === "store-0 a"), 1, "it never began again")
            assert.deepStrictEqual((yield* status)?.partition, { stopWorkloadsAfter: "10m" })
            assert.isFalse(yield* twice)
          })
      ),
    300_000
  )

  it.live(
    "replaceAfter with allowRunningTwice: the replacement runs beside the original until the device is back",
    () =>
      inScene(
        { replaceAfter: "15m", allowRunningTwice: true, ...always },
        ({ allReady, apart, running, told, twice, wait }) =>
          Effect.gen(function*() {
            yield* apart(true)
            yield* wait("25 minutes")
            assert.deepStrictEqual(yield* running, [...everything, "store-0 b #0", "web b #0"].sort())
            yield* apart(false)
            yield* wait("6 minutes")
            yield* allReady(5)
            assert.deepStrictEqual(yield* running, [
              "bare a #0",
              "daemon-of-edge-1 a #0",
              "daemon-of-edge-2 a #0",
              "store-0 b #0",
              "web b #0"
            ])
            assert.isTrue(yield* twice, "as its owner allowed")
            assert.lengthOf(yield* told("OrphansHeld"), 0)
          })
      ),
    300_000
  )

  it.live(
    "replaceAfter: what comes to the same Node again has as long, and runs there when the device is back",
    () =>
      inScene(
        { replaceAfter: "15m", allowRunningTwice: true, ...always },
        ({ apart, names, replaced, running, status, told, wait }) =>
          Effect.gen(function*() {
            yield* (yield* KubeApi).create(kinds.store, pinned("store"))
            yield* eventually(running, (all) => all.includes("pinned-0 a #0"))
            yield* apart(true)
            yield* wait("19 minutes")
            assert.include(yield* names, "pinned-0 b on edge-1")
            yield* wait("10 minutes")
            assert.include(yield* names, "pinned-0 b on edge-1")
            assert.strictEqual(yield* replaced, 3)
            yield* wait("8 minutes")
            assert.include(yield* names, "pinned-0 c on edge-1")
            assert.strictEqual(yield* replaced, 4)
            assert.lengthOf((yield* status)?.partition?.replaced ?? [], 4)
            yield* apart(false)
            yield* eventually(running, (all) => all.includes("pinned-0 c #0") && !all.includes("pinned-0 a #0"), 600)
            assert.lengthOf(yield* told("OrphansHeld"), 0)
          })
      ),
    300_000
  )

  it.live(
    "onReturn keepOriginal: what comes to the same Node again is no original, and is not kept beside it",
    () =>
      inScene(
        { replaceAfter: "15m", allowRunningTwice: true, onReturn: "keepOriginal" },
        ({ apart, names, running, wait }) =>
          Effect.gen(function*() {
            const pinnedOnes = Effect.map(names, (all) => all.filter((name) => name.startsWith("pinned")))
            yield* (yield* KubeApi).create(kinds.web, pinned("web"))
            yield* eventually(running, (all) => all.some((name) => name.startsWith("pinned")))
            const [original = ""] = yield* pinnedOnes
            yield* apart(true)
            yield* wait("19 minutes")
            const [first] = (yield* pinnedOnes).filter((name) => name !== original)
            yield* wait("46 minutes")
            const there = yield* pinnedOnes
            assert.lengthOf(there, 2)
            assert.include(there, original)
            assert.notInclude(there, first, "its controller may put another where there is room by now")
            yield* apart(false)
            yield* eventually(pinnedOnes, (all) => all.length === 1, 600)
            assert.deepStrictEqual(yield* pinnedOnes, [original])
            const runs = (yield* running).filter((name) => name.startsWith("pinned"))
            assert.deepStrictEqual(runs, [original.replace("on edge-1", "#0")])
          })
      ),
    300_000
  )

  it.live("onReturn keepOriginal: a stand-in for what may be two, gone when the original is ready again", () =>
    inScene(
      { stopWorkloadsAfter: "10m", replaceAfter: "15m", onReturn: "keepOriginal" },
      ({ allReady, apart, names, running, twice, wait }) =>
        Effect.gen(function*() {
          yield* apart(true)
          yield* wait("25 minutes")
          assert.deepStrictEqual(yield* names, [
            ...onTheFirst,
            "daemon-of-edge-2 a on edge-2",
            "store-0 a on edge-1",
            "web a on edge-1",
            "web b on edge-2"
          ])
          assert.deepStrictEqual(yield* running, ["daemon-of-edge-2 a #0", "web b #0"])
          yield* apart(false)
          yield* wait("6 minutes")
          yield* allReady(5)
          assert.deepStrictEqual(yield* names, atHome)
          assert.deepStrictEqual(yield* running, [
            "bare a #1",
            "daemon-of-edge-1 a #1",
            "daemon-of-edge-2 a #0",
            "store-0 a #1",
            "web a #1"
          ])
          assert.isFalse(yield* twice)
        })
    ), 300_000)

  it.live(
    "onReturn keepOriginal: an original that is back is favoured for two minutes, also by the next operator",
    () =>
      inScene(
        { stopWorkloadsAfter: "10m", replaceAfter: "15m", onReturn: "keepOriginal" },
        ({ apart, operator, running, wait }) =>
          Effect.gen(function*() {
            const api = yield* KubeApi
            const annotations = Effect.map(
              api.list(Pods, { namespace: "edge" }),
              (pods) =>
                pods.flatMap(({ metadata }) => Object.keys(metadata.annotations ?? {})).filter((key) => marks.has(key))
            )
            yield* apart(true)
            yield* wait("25 minutes")
            yield* apart(false)
            yield* eventually(annotations, (found) => found.includes(deletionCost), 600)
            yield* operator.kill
            yield* operator.start
            yield* wait("6 minutes")
            assert.deepStrictEqual(yield* annotations, [])
            assert.include(yield* running, "web a #1")
          })
      ),
    300_000
  )

  it.live(
    "onReturn keepOriginal: the end of favour takes away no cost that the owner has set, of which no watch has told",
    () =>
      inScene(
        { stopWorkloadsAfter: "10m", replaceAfter: "15m", onReturn: "keepOriginal" },
        ({ apart, podWatch, wait }) =>
          Effect.gen(function*() {
            const api = yield* KubeApi
            const favoured = Effect.map(
              api.list(Pods, { namespace: "edge" }),
              (pods) => pods.find(({ metadata }) => metadata.annotations?.[favouredAnnotation] !== undefined)
            )
            yield* apart(true)
            yield* wait("25 minutes")
            yield* apart(false)
            const pod = yield* eventually(favoured, (found) => found !== undefined, 600)
            const at = { namespace: "edge", name: pod?.metadata.name ?? "" }
            yield* wait("1 minute")
            yield* podWatch.close
            yield* api.patch(Pods, at, { type: "merge", body: { metadata: { annotations: { [deletionCost]: "5" } } } })
            yield* wait("3 minutes")
            yield* podWatch.open
            yield* wait("1 minute")
            const { metadata } = yield* api.get(Pods, at)
            assert.strictEqual(metadata.annotations?.[deletionCost], "5")
            assert.isUndefined(metadata.annotations?.[favouredAnnotation])
          })
      ),
    300_000
  )

  it.live(
    "onReturn keepOriginal with allowRunningTwice: the stand-in runs beside the original, and goes",
    () =>
      inScene(
        { replaceAfter: "15m", onReturn: "keepOriginal", allowRunningTwice: true },
        ({ allReady, apart, names, running, twice, wait }) =>
          Effect.gen(function*() {
            yield* apart(true)
            yield* wait("20 minutes")
            assert.deepStrictEqual(yield* running, [...everything, "web b #0"])
            yield* apart(false)
            yield* wait("6 minutes")
            yield* allReady(5)
            assert.deepStrictEqual(yield* names, atHome)
            assert.deepStrictEqual(yield* running, everything)
            assert.isFalse(yield* twice)
          })
      ),
    300_000
  )

  it.live("replaceAfter: nothing is given up that another operator takes at that moment", () =>
    inScene(
      { stopWorkloadsAfter: "10m", replaceAfter: "15m" },
      ({ beforeAnswer, apart, names, status, wait }) =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          yield* apart(true)
          yield* wait("15 minutes")
          const epoch = (yield* status)?.link?.epoch ?? 0
          beforeAnswer(
            "get edgedevices",
            api.patch(EdgeDevices, { namespace: "edge", name: "edge-1", subresource: "status" }, {
              type: "merge",
              body: { status: { link: { holder: "another", epoch: epoch + 1 } } }
            })
          )
          yield* wait("5 minutes")
          // Nobody else is there in truth, and the device is claimed again: under a later epoch, and its absence counted anew.
          assert.isAbove((yield* status)?.link?.epoch ?? 0, epoch + 1)
          assert.deepStrictEqual(yield* names, atHome)
        })
    ), 300_000)
})

describe("a device that is kept on a leash", () => {
  it.live(
    "comes back and is given a pod while it is settled what is gone: the pod stays",
    () =>
      inScene({ stopWorkloadsAfter: "10m" }, ({ apart, beforeAnswer, first, wait }) =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          yield* apart(true)
          yield* wait("20 minutes")
          const late = {
            apiVersion: "v1",
            kind: "Pod",
            metadata: { namespace: "edge", name: "late" },
            spec: { nodeName: "edge-1", containers: [{ name: "main", image: "busybox:1.36", command: ["life"] }] }
          } as const
          beforeAnswer("list pods", Effect.andThen(api.create(Pods, late), Effect.sleep("5 seconds")))
          yield* apart(false)
          yield* wait("10 minutes")
          const { metadata, status } = yield* api.get(Pods, { namespace: "edge", name: "late" })
          assert.strictEqual(status?.phase, "Running")
          assert.lengthOf((yield* first.runtime.runs).filter(({ uid }) => uid === metadata.uid), 1)
        })),
    300_000
  )

  it.live(
    "rests on over a restart of its agent between the operator's first sound and its word",
    () =>
      inScene(
        { stopWorkloadsAfter: "10m", replaceAfter: "15m" },
        ({ apart, beforeAnswer, first, names, running, twice, wait }) =>
          Effect.gen(function*() {
            yield* apart(true)
            yield* wait("30 minutes")
            assert.include(yield* names, "store-0 b on edge-2")
            // The operator looks at what is gone: the device has been told neither that, nor to go on.
            beforeAnswer("get pods", Effect.andThen(first.agent.kill, apart(true)))
            yield* apart(false)
            yield* wait("6 minutes")
            yield* first.agent.start
            yield* wait("2 minutes")
            assert.deepStrictEqual(yield* running, ["daemon-of-edge-2 a #0", "store-0 b #0", "web b #0"])
            assert.isFalse(yield* twice)
          })
      ),
    300_000
  )

  it.live(
    "is told of another leash also where its owner changes her mind while it is told of one",
    () =>
      inScene({ stopWorkloadsAfter: "10m" }, ({ apart, beforeAnswer, edit, status, wait }) =>
        Effect.gen(function*() {
          yield* apart(true)
          yield* wait("20 minutes")
          beforeAnswer("list pods", Effect.andThen(edit({ stopWorkloadsAfter: "30m" }), Effect.sleep("5 seconds")))
          yield* apart(false)
          yield* wait("10 minutes")
          assert.strictEqual((yield* status)?.partition?.stopWorkloadsAfter, "30m")
        })),
    300_000
  )

  it.live(
    "after a reboot with nobody to hear begins nothing, and goes on once it is told",
    () =>
      inScene(
        { stopWorkloadsAfter: "10m" },
        ({ allReady, apart, first, names, running, wait }) =>
          Effect.gen(function*() {
            yield* apart(true)
            yield* wait("10 seconds")
            yield* first.agent.kill
            yield* first.runtime.powerOff("exited")
            yield* first.host.reboot
            yield* first.runtime.startEngine
            yield* first.agent.start
            yield* wait("1 hour")
            assert.deepStrictEqual(yield* running, ["daemon-of-edge-2 a #0"])
            yield* apart(false)
            yield* wait("6 minutes")
            yield* allReady(5)
            assert.deepStrictEqual(yield* names, atHome)
          })
      ),
    300_000
  )

  it.live(
    "goes on counting over a restart of its agent, and rests no later",
    () =>
      inScene({ stopWorkloadsAfter: "10m" }, ({ apart, first, running, wait }) =>
        Effect.gen(function*() {
          yield* wait("20 minutes")
          yield* apart(true)
          yield* wait("3 minutes")
          yield* first.agent.kill
          yield* wait("10 seconds")
          yield* first.agent.start
          yield* wait("30 seconds")
          assert.deepStrictEqual(yield* running, everything)
          yield* wait("7 minutes")
          assert.deepStrictEqual(yield* running, ["daemon-of-edge-2 a #0"])
        })),
    300_000
  )

  it.live(
    "writes little of it: as often as it must, and nothing where it is on none",
    () =>
      inScene({ stopWorkloadsAfter: "20m" }, ({ first, second, wait }) =>
        Effect.gen(function*() {
          const written = (device: typeof first) =>
            Effect.map(device.journal.diary, (all) => all.filter((each) => each.includes("leash")).length)
          const before = yield* written(first)
          yield* wait("2 hours")
          assert.isAtMost((yield* written(first)) - before, 6 * 4)
          assert.isAtLeast((yield* written(first)) - before, 6 * 2)
          assert.strictEqual(yield* written(second), 0)
        })),
    300_000
  )

  it.live(
    "is let off it when its owner changes her mind, also while it is away",
    () =>
      inScene(
        { stopWorkloadsAfter: "10m" },
        ({ allReady, apart, edit, running, status, wait }) =>
          Effect.gen(function*() {
            yield* apart(true)
            yield* wait("15 minutes")
            yield* edit({ stopWorkloadsAfter: null })
            yield* wait("1 minute")
            assert.deepStrictEqual(yield* running, ["daemon-of-edge-2 a #0"])
            yield* apart(false)
            yield* wait("6 minutes")
            yield* allReady(5)
            assert.isUndefined((yield* status)?.partition)
            yield* apart(true)
            yield* wait("1 hour")
            assert.lengthOf(yield* running, 5)
          })
      ),
    300_000
  )

  it.live(
    "is not believed to be on one that it was never told of",
    () =>
      inScene({}, ({ apart, edit, names, running, told, wait }) =>
        Effect.gen(function*() {
          yield* apart(true)
          yield* wait("5 minutes")
          yield* edit({ stopWorkloadsAfter: "10m", replaceAfter: "15m" })
          yield* wait("40 minutes")
          assert.deepStrictEqual(yield* names, atHome)
          assert.deepStrictEqual(yield* running, everything)
          assert.lengthOf(yield* told("ReplacementHeld"), 1)
        })),
    300_000
  )
})

describe("an operator", () => {
  it.live(
    "that begins anew counts anew: it cannot know what its predecessor heard",
    () =>
      inScene(
        { stopWorkloadsAfter: "10m", replaceAfter: "15m" },
        ({ apart, names, operator, twice, wait }) =>
          Effect.gen(function*() {
            yield* apart(true)
            yield* wait("14 minutes")
            yield* operator.kill
            yield* wait("1 minute")
            yield* operator.start
            yield* wait("13 minutes")
            assert.deepStrictEqual(yield* names, atHome)
            yield* wait("5 minutes")
            assert.include(yield* names, "store-0 b on edge-2")
            assert.isFalse(yield* twice)
          })
      ),
    300_000
  )

  it.live(
    "tells an agent that was stopped from a machine that goes down, and from a link that does",
    () =>
      inScene({}, ({ first, node, status, wait }) =>
        Effect.gen(function*() {
          yield* first.agent.kill
          yield* wait("5 seconds")
          assert.strictEqual((yield* node).connected, "AgentDown")
          const connected = (yield* status)?.conditions?.find(({ type }) => type === "Connected")
          assert.strictEqual(connected?.reason, "AgentDown")
          yield* first.agent.start
          yield* wait("30 seconds")
          assert.strictEqual((yield* node).connected, "Connected")
          yield* first.host.end
          yield* first.agent.kill
          yield* wait("5 seconds")
          assert.strictEqual((yield* node).connected, "DeviceDown")
          yield* first.host.reboot
          yield* first.agent.start
          yield* wait("30 seconds")
          yield* first.transport.refuse("Refused")
          yield* first.transport.cut()
          yield* wait("5 seconds")
          assert.strictEqual((yield* node).connected, "LinkDown")
        })),
    300_000
  )
})
