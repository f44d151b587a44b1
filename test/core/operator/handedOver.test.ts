import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { ControlPlane } from "../../../adapters/kube/plane/ControlPlane.ts"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { ConfigMaps, KubeEvents, Leases } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { type Node, Nodes } from "../../../core/kube/Node.ts"
import { type Pod, Pods } from "../../../core/kube/Pod.ts"
import { forever } from "../../fakes/runtime/Program.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, wiped, worldLayer } from "../../simulation/World.ts"
import { assignments, comes, restarts, twoOperators, until, web } from "./twoOperators.ts"

describe("a device that was another operator's for a while", () => {
  it.live("is believed by the first about what it said then, not about what it had said before", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const plane = yield* ControlPlane
        yield* createNamespaces
        const device = yield* makeDevice("edge-1", 1)
        yield* device.runtime.script(() => true, { run: forever })
        const one = yield* makeOperator([device], undefined, undefined, "one")
        const two = yield* makeOperator([device], undefined, undefined, "two")
        yield* one.start
        yield* two.start
        yield* api.create(EdgeDevices, device.object())
        yield* device.agent.start
        yield* until(
          Effect.match(api.get(Nodes, { name: "edge-1" }), { onFailure: () => false, onSuccess: () => true })
        )
        yield* api.create(Pods, web)
        const pod = api.get(Pods, { namespace: "edge", name: "web" })
        const comesTo = comes(device)
        const readyAgain = until(Effect.map(pod, ({ status }) =>
          status?.conditions?.some(({ status, type }) =>
            type === "Ready" && status === "True"
          ) ?? false))

        yield* comesTo("one")
        yield* readyAgain
        yield* comesTo("two")
        yield* device.runtime.crash(() =>
          true, 1)
        yield* until(Effect.map(pod, (now) => restarts(now) === 1))
        yield* device.transport.refuse("Refused")
        yield* device.transport.cut()
        yield* until(
          Effect.map(pod, ({ status }) =>
            status?.conditions?.some(({ reason }) =>
              reason === "DeviceDisconnected"
            ) ?? false)
        )
        let least = 1
        plane.world.store.listen("pods", "all", ({ revision }) => {
          const told = revision.object as unknown as Pod
          if (told.metadata.name === "web") least = Math.min(least, restarts(told))
        })
        yield* two.kill
        yield* device.transport.refuse(undefined)
        yield* comesTo("one")
        yield* readyAgain
        assert.strictEqual(least, 1, "restarts never go down")
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("stays with the second, where the first is slow to let in whom it has waited for", () =>
    simulate(5, () =>
      Effect.gen(function*() {
        const { admitsOne, admittingOne, api, device } = yield* twoOperators
        const link = Effect.map(
          api.get(EdgeDevices, { namespace: "edge", name: "edge-1" }),
          ({ status }) => status?.link
        )
        /** It dials whichever operator it meets. */
        const dialsUntil = <E>(met: Effect.Effect<boolean, E>) =>
          device.agent.kill.pipe(
            Effect.andThen(device.transport.weather({ blackHole: false })),
            Effect.andThen(device.agent.start),
            Effect.andThen(Effect.sleep("1 second")),
            Effect.andThen(met),
            Effect.repeat({ until: (found) => found, times: 20 })
          )
        yield* admitsOne.close
        yield* dialsUntil(Effect.map(admittingOne, (waiting) => waiting > 0))
        // The first does not hear that it hangs up.
        yield* device.transport.weather({ blackHole: true })
        const before = yield* link
        yield* dialsUntil(Effect.map(link, (now) => now?.lineageHash !== before?.lineageHash))
        assert.strictEqual(yield* admittingOne, 1, "the first has not given up yet")
        const there = yield* link
        yield* admitsOne.open
        yield* Effect.sleep("1 minute")
        assert.strictEqual(there?.holder, "two-1")
        assert.deepStrictEqual(yield* link, there)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("is not given an older pod by the next, whose watch has not told of the newer one yet", () =>
    simulate(3, () =>
      Effect.gen(function*() {
        const { api, device, handOver, pod, tells } = yield* twoOperators
        yield* api.create(Pods, web)
        yield* until(Effect.map(pod, ({ status }) => status?.phase === "Running"))
        yield* tells.close
        yield* api.patch(Pods, { namespace: "edge", name: "web" }, {
          type: "strategic",
          body: { spec: { containers: [{ name: "main", image: "busybox:1.37" }] } }
        })
        yield* until(Effect.map(pod, (now) => restarts(now) === 1))
        yield* handOver(Effect.void)
        yield* Effect.sleep("2 minutes")
        yield* tells.open
        yield* Effect.sleep("2 minutes")
        assert.strictEqual(yield* assignments(device), 2)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("is not given by the next what is gone, which that one's watch still shows", () =>
    simulate(4, () =>
      Effect.gen(function*() {
        const { api, device, handOver, pod, tells } = yield* twoOperators
        const ended = Effect.map(
          device.runtime.runs,
          (runs) => runs.every(({ finishedAt }) => finishedAt !== undefined)
        )
        yield* api.create(Pods, web)
        yield* until(Effect.map(pod, ({ status }) => status?.phase === "Running"))
        yield* tells.close
        yield* api.delete(Pods, { namespace: "edge", name: "web" }, { gracePeriodSeconds: 0 })
        yield* until(ended)
        // Long enough for the device to have forgotten it; once it was started again, it does not know either that it has.
        yield* Effect.sleep("1 minute")
        yield* handOver(device.agent.start)
        yield* Effect.sleep("2 minutes")
        yield* tells.open
        yield* Effect.sleep("2 minutes")
        assert.strictEqual(yield* assignments(device), 1)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("is not given once more what has ended and is gone, which the watch of its one operator still shows", () =>
    simulate(20, () =>
      Effect.gen(function*() {
        const { api, device, killTwo, pod, tellsOneOfPods } = yield* twoOperators
        yield* killTwo
        yield* api.create(Pods, { ...web, spec: { ...web.spec, restartPolicy: "Never" } })
        yield* until(Effect.map(pod, ({ status }) => status?.phase === "Running"))
        yield* tellsOneOfPods.close
        yield* api.delete(Pods, { namespace: "edge", name: "web" }, { gracePeriodSeconds: 0 })
        yield* device.runtime.crash(() => true, 0)
        // Long enough for the device to have forgotten it; once it was started again, it does not know either that it has.
        yield* Effect.sleep("1 minute")
        yield* device.agent.kill
        yield* device.agent.start
        yield* Effect.sleep("1 minute")
        assert.strictEqual(yield* assignments(device), 1)
        assert.lengthOf(yield* device.runtime.runs, 1)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("is not contradicted by the former, which has heard neither of that nor of the link's end", () =>
    simulate(5, () =>
      Effect.gen(function*() {
        const { api, device, pod, slipAway } = yield* twoOperators
        const plane = yield* ControlPlane
        yield* api.create(Pods, web)
        yield* until(Effect.map(pod, ({ status }) => status?.phase === "Running"))
        // The first is begun anew at once, the next waits.
        yield* device.runtime.crash(() => true, 1)
        yield* until(Effect.map(pod, (now) => restarts(now) === 1))
        yield* slipAway
        let writes = 0
        plane.world.store.listen("pods", "all", ({ revision }) => {
          if ((revision.object as unknown as Pod).metadata.name === "web" && ++writes > 100) {
            throw new Error("without end")
          }
        })
        yield* device.runtime.crash(() => true, 1)
        yield* Effect.sleep("5 seconds")
        assert.strictEqual(
          (yield* pod).status?.conditions?.find(({ type }) => type === "Ready")?.status,
          "False"
        )
        assert.isBelow(writes, 4)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("is not said to be away by the former, to which it is", () =>
    simulate(7, () =>
      Effect.gen(function*() {
        const { api, pod, slipAway } = yield* twoOperators
        const plane = yield* ControlPlane
        yield* api.create(Pods, web)
        yield* until(Effect.map(pod, ({ status }) => status?.phase === "Running"))
        yield* slipAway
        const writes = new Map<string, number>()
        plane.world.store.listen("pods", "all", ({ revision }) => {
          const { name = "" } = (revision.object as unknown as Pod).metadata
          writes.set(name, (writes.get(name) ?? 0) + 1)
          if ((writes.get(name) ?? 0) > 50) throw new Error("without end")
        })
        yield* Effect.sleep("5 minutes")
        assert.deepStrictEqual([...writes], [])
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("is said to be there by nobody but the next, in the heartbeats of its Node, too", () =>
    simulate(17, () =>
      Effect.gen(function*() {
        const { slipAway } = yield* twoOperators
        const plane = yield* ControlPlane
        yield* slipAway
        let away = 0
        plane.world.store.listen("nodes", "all", ({ revision }) => {
          const { conditions } = (revision.object as unknown as Node).status ?? {}
          if (conditions?.find(({ type }) => type === "DeviceConnected")?.status !== "True" && ++away > 50) {
            throw new Error("without end")
          }
        })
        // Two heartbeats of the longest.
        yield* Effect.sleep("15 minutes")
        assert.strictEqual(away, 0)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("has its pods ended, not taken away, where the former never knew that they run", () =>
    simulate(13, () =>
      Effect.gen(function*() {
        const { api, device, pod, slipAway, tellsOneOfPods } = yield* twoOperators
        yield* slipAway
        yield* tellsOneOfPods.close
        yield* api.create(Pods, web)
        yield* until(Effect.map(pod, ({ status }) => status?.phase === "Running"))
        yield* device.runtime.fault("stop", { _tag: "Slow", by: "20 seconds" })
        yield* api.delete(Pods, { namespace: "edge", name: "web" })
        yield* tellsOneOfPods.open
        yield* until(Effect.match(pod, { onFailure: () => true, onSuccess: () => false }))
        const runs = yield* device.runtime.runs
        assert.isTrue(runs.every(({ finishedAt }) => finishedAt !== undefined), "its pod goes after its containers")
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("does not have its pods called waiting by the former, which hears late of one that it would have wait", () =>
    simulate(14, () =>
      Effect.gen(function*() {
        const { api, pod, slipAway, tellsOneOfPods } = yield* twoOperators
        const plane = yield* ControlPlane
        const settings = { namespace: "edge", name: "settings" }
        yield* slipAway
        yield* tellsOneOfPods.close
        yield* api.create(ConfigMaps, {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: settings,
          data: { color: "red" }
        })
        const [main] = web.spec.containers
        yield* api.create(Pods, {
          ...web,
          spec: {
            ...web.spec,
            containers: [{ ...main!, envFrom: [{ configMapRef: { name: "settings" } }] }]
          }
        })
        yield* until(Effect.map(pod, ({ status }) => status?.phase === "Running"))
        const phases = new Set<string>()
        plane.world.store.listen("pods", "all", ({ revision }) => {
          const { metadata, status } = revision.object as unknown as Pod
          if (metadata.name === "web") phases.add(status?.phase ?? "")
        })
        yield* api.delete(ConfigMaps, settings)
        yield* tellsOneOfPods.open
        yield* Effect.sleep("20 seconds")
        assert.notInclude([...phases], "Pending")
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("goes on with pods that the next would refuse", () =>
    simulate(15, () =>
      Effect.gen(function*() {
        const { api, device, handOver, pod } = yield* twoOperators
        yield* api.create(Pods, { ...web, spec: { ...web.spec, os: { name: "linux" } } as typeof web.spec })
        yield* until(Effect.map(pod, ({ status }) => status?.phase === "Running"))
        yield* handOver(device.host.set({ operatingSystem: "plan9" }))
        yield* comes(device)("two")
        yield* Effect.sleep("2 minutes")
        assert.strictEqual((yield* pod).status?.phase, "Running")
        assert.lengthOf(yield* device.runtime.runs, 1)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("takes its Node with it when it is deleted, also where the former does not know of either", () =>
    simulate(6, () =>
      Effect.gen(function*() {
        const { api, device, slipAway } = yield* twoOperators
        const plane = yield* ControlPlane
        const isGone = <A, E>(get: Effect.Effect<A, E>) =>
          Effect.match(get, { onFailure: () => true, onSuccess: () => false })
        yield* until(Effect.map(isGone(api.get(Pods, { namespace: "edge", name: "edge-1" })), (gone) => !gone))
        const pictures = new Set<string>()
        plane.world.store.listen("pods", "all", ({ revision }) => {
          const { metadata } = revision.object as unknown as Pod
          pictures.add(metadata.uid ?? "")
        })
        yield* slipAway
        yield* api.delete(EdgeDevices, { namespace: "edge", name: "edge-1" })
        yield* until(isGone(api.get(EdgeDevices, { namespace: "edge", name: "edge-1" })))
        yield* Effect.sleep("5 seconds")
        assert.isTrue(yield* isGone(api.get(Nodes, { name: "edge-1" })))
        assert.strictEqual(pictures.size, 1, "its own pod is not made anew")
        assert.lengthOf(yield* device.runtime.runs, 0)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("does as the next says with pods that this one's watch has not told of when it came", () =>
    simulate(8, () =>
      Effect.gen(function*() {
        const { api, device, handOver, tells } = yield* twoOperators
        const names = ["a", "b", "c", "d", "e"]
        yield* tells.close
        for (const name of names) yield* api.create(Pods, { ...web, metadata: { ...web.metadata, name } })
        const running = Effect.map(device.runtime.runs, (runs) =>
          runs.filter(({ finishedAt }) => finishedAt === undefined).length)
        yield* until(Effect.map(running, (count) =>
          count === names.length))
        yield* handOver(Effect.void)
        yield* comes(device)("two")
        yield* tells.open
        yield* Effect.sleep("1 minute")
        for (const name of names) yield* api.delete(Pods, { namespace: "edge", name })
        yield* until(Effect.map(running, (count) => count === 0))
        yield* until(Effect.map(api.list(Pods, { namespace: "edge" }), (pods) =>
          pods.every(({ metadata }) =>
            metadata.name === "edge-1"
          )))
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("ends, in the same session, what was deleted by force after the next one's watch had told of it, late as it was", () =>
    simulate(8, () =>
      Effect.gen(function*() {
        const { api, device, handOver, missEnds, tells } = yield* twoOperators
        const names = ["a", "b", "c", "d", "e"]
        yield* tells.close
        for (const name of names) yield* api.create(Pods, { ...web, metadata: { ...web.metadata, name } })
        const running = Effect.map(device.runtime.runs, (runs) =>
          runs.filter(({ finishedAt }) => finishedAt === undefined).length)
        yield* until(Effect.map(running, (count) =>
          count === names.length))
        yield* handOver(Effect.void)
        yield* comes(device)("two")
        yield* tells.open
        yield* Effect.sleep("1 minute")
        yield* missEnds
        yield* api.delete(Pods, { namespace: "edge", name: "a" }, { gracePeriodSeconds: 0 })
        yield* until(Effect.map(running, (count) => count === 4))
        yield* Effect.sleep("1 minute")
        assert.strictEqual(yield* running, 4)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("ends what was deleted by force and the next one's watch never told of", () =>
    simulate(18, () =>
      Effect.gen(function*() {
        const { api, device, handOver, miss } = yield* twoOperators
        yield* miss("web")
        yield* api.create(Pods, web)
        const running = Effect.map(device.runtime.runs, (runs) =>
          runs.filter(({ finishedAt }) => finishedAt === undefined).length)
        yield* until(Effect.map(running, (count) =>
          count === 1))
        yield* handOver(Effect.void)
        yield* comes(device)("two")
        yield* Effect.sleep("5 minutes")
        assert.strictEqual(yield* running, 1)
        yield* api.delete(Pods, { namespace: "edge", name: "web" }, { gracePeriodSeconds: 0 })
        yield* until(Effect.map(running, (count) => count === 0))
        yield* until(Effect.map(device.rows("assignments"), (rows) => rows.length === 0))
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("ends what is over in the API", () =>
    simulate(9, () =>
      Effect.gen(function*() {
        const { api, device, pod } = yield* twoOperators
        yield* api.create(Pods, web)
        yield* until(Effect.map(pod, ({ status }) => status?.phase === "Running"))
        yield* api.patch(Pods, { namespace: "edge", name: "web", subresource: "status" }, {
          type: "merge",
          body: { status: { phase: "Failed" } }
        })
        yield* until(
          Effect.map(device.runtime.runs, (runs) => runs.every(({ finishedAt }) => finishedAt !== undefined))
        )
        yield* Effect.sleep("1 minute")
        assert.lengthOf(yield* device.runtime.runs, 1)
        assert.strictEqual((yield* pod).status?.phase, "Failed")
        yield* api.delete(Pods, { namespace: "edge", name: "web" })
        yield* until(Effect.map(device.rows("assignments"), (rows) => rows.length === 0))
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("is taken leave of by the operator it came to, not by the one it had been with", () => {
    /** Whether it came to the other before its pod had ended. */
    const story = Effect.gen(function*() {
      const { api, device, pod } = yield* twoOperators
      // Longer than an operator waits for a device that is gone from it.
      yield* device.runtime.fault("stop", { _tag: "Slow", by: "25 seconds" })
      yield* api.create(Pods, web)
      yield* until(Effect.map(pod, ({ status }) => status?.phase === "Running"))
      const gone = yield* until(
        Effect.match(pod, { onFailure: () => true, onSuccess: () => false })
      ).pipe(Effect.andThen(device.runtime.runs), Effect.forkChild)
      yield* api.delete(EdgeDevices, { namespace: "edge", name: "edge-1" })
      // Cut in the middle of it, until it meets the other.
      yield* Effect.sleep("500 millis")
      const holder = Effect.match(api.get(EdgeDevices, { namespace: "edge", name: "edge-1" }), {
        onFailure: () => undefined,
        onSuccess: ({ status }) => status?.link?.holder
      })
      const meets = device.transport.cut().pipe(
        // It does not come any more where leave was taken already.
        Effect.andThen(Effect.ignore(until(Effect.map(device.transport.open, (open) => open === 1)))),
        Effect.andThen(Effect.sleep("100 millis")),
        Effect.andThen(holder)
      )
      if ((yield* Effect.repeat(meets, { until: (name) => name === "two-1", times: 5 })) !== "two-1") return false
      const runs = yield* Fiber.join(gone)
      assert.isTrue(runs.every(({ finishedAt }) => finishedAt !== undefined), "its pod goes after its containers")
      return true
    }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)
    return Effect.gen(function*() {
      for (let seed = 1; seed <= 50; seed++) if (yield* simulate(seed, () => story)) return
      assert.fail("with no seed does it come to the other in time")
    })
  })

  it.live("does not stay with one that hears of its EdgeDevice's end when the next one of its name is there", () =>
    simulate(17, () =>
      Effect.gen(function*() {
        const { api, device, tellsOneOfDevices } = yield* twoOperators
        const at = { namespace: "edge", name: "edge-1" }
        yield* tellsOneOfDevices.close
        yield* api.delete(EdgeDevices, at)
        yield* api.patch(EdgeDevices, at, { type: "merge", body: { metadata: { finalizers: null } } })
        yield* api.create(EdgeDevices, device.object())
        yield* tellsOneOfDevices.open
        yield* until(Effect.match(api.get(Nodes, { name: "edge-1" }), {
          onFailure: () => false,
          onSuccess: ({ status }) =>
            status?.conditions?.some(({ status, type }) => type === "DeviceConnected" && status === "True") === true
        }))
        yield* until(Effect.map(api.get(EdgeDevices, at), ({ status }) =>
          status?.conditions?.some(({ status, type }) =>
            type === "Connected" && status === "True"
          ) === true))
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("is not told to wipe by one that has not heard that its EdgeDevice is there again", () =>
    simulate(18, () =>
      Effect.gen(function*() {
        const { api, device, pod, tellsOneOfDevices, tellsOneOfRevoked } = yield* twoOperators
        const at = { namespace: "edge", name: "edge-1" }
        yield* device.transport.refuse("Refused")
        yield* device.transport.cut()
        yield* api.delete(EdgeDevices, at)
        yield* until(Effect.match(api.get(EdgeDevices, at), { onFailure: () => true, onSuccess: () => false }))
        yield* Effect.sleep("5 seconds")
        yield* tellsOneOfDevices.close
        yield* tellsOneOfRevoked.close
        yield* api.create(EdgeDevices, device.object())
        yield* device.transport.refuse(undefined)
        yield* comes(device)("two")
        yield* api.create(Pods, web)
        yield* until(Effect.map(pod, ({ status }) => status?.phase === "Running"))
        const before = (yield* device.obeyed).length
        // Each time it dials it meets either.
        yield* device.transport.cut().pipe(
          Effect.andThen(Effect.sleep("20 seconds")),
          Effect.repeat({ times: 20 })
        )
        assert.notInclude((yield* device.obeyed).slice(before).map(({ what }) => what), wiped)
        const runs = yield* device.runtime.runs
        assert.lengthOf(runs, 1)
        assert.isUndefined(runs[0]!.finishedAt)
        yield* comes(device)("two")
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("is no copy of itself to the former, whose watch has not told what the next gave it", () =>
    simulate(19, () =>
      Effect.gen(function*() {
        const { api, device, killTwo, slipAway } = yield* twoOperators
        yield* slipAway
        // By then the first has met the second in what it would write, and hears of nothing more.
        yield* Effect.sleep("1 minute")
        let before = "two-1"
        yield* device.agent.kill.pipe(
          Effect.andThen(device.agent.start),
          Effect.andThen(Effect.sleep("10 seconds")),
          Effect.andThen(api.get(EdgeDevices, { namespace: "edge", name: "edge-1" })),
          Effect.map(({ status }) => {
            const twice = before === "two-1" && status?.link?.holder === before
            before = status?.link?.holder ?? ""
            return twice
          }),
          // It comes to whichever it meets.
          Effect.repeat({ until: (twice) => twice })
        )
        yield* killTwo
        yield* device.transport.cut()
        yield* Effect.sleep("30 seconds")
        const { status } = yield* api.get(EdgeDevices, { namespace: "edge", name: "edge-1" })
        assert.strictEqual(status?.link?.holder, "one-1")
        const reasons = (yield* api.list(KubeEvents, { namespace: "edge" })).map(({ reason }) => reason)
        assert.notInclude(reasons, "DuplicateIdentity")
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("has its Lease renewed by the next also after it went away again while that one read it", () =>
    simulate(16, () =>
      Effect.gen(function*() {
        const { api, device, tellsOfLeases } = yield* twoOperators
        const lease = api.get(Leases, { namespace: "kube-node-lease", name: "edge-1" })
        yield* until(Effect.match(lease, { onFailure: () => false, onSuccess: () => true }))
        yield* tellsOfLeases.close
        yield* comes(device)("two")
        yield* Effect.sleep("1 second")
        yield* comes(device)("one")
        yield* Effect.sleep("1 second")
        yield* tellsOfLeases.open
        yield* comes(device)("two")
        yield* Effect.sleep("20 seconds")
        const before = (yield* lease).spec?.renewTime
        // Not so long that the other takes a device of which nobody speaks.
        yield* Effect.sleep("20 seconds")
        assert.notStrictEqual((yield* lease).spec?.renewTime, before)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("is heard by the next also where that one's watch has not told of its pods yet", () =>
    simulate(2, () =>
      Effect.gen(function*() {
        const { api, device, handOver, pod, tells } = yield* twoOperators
        yield* tells.close
        yield* api.create(Pods, web)
        yield* until(Effect.map(pod, ({ status }) => status?.phase === "Running"))
        yield* handOver(device.runtime.crash(() => true, 1))
        yield* until(Effect.map(pod, (now) => restarts(now) === 1))
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))

  it.live("has no orphans, to the next, of pods that one's watch has not told of yet", () =>
    simulate(21, () =>
      Effect.gen(function*() {
        const { api, device, handOver, killTwo, startOne, tells } = yield* twoOperators
        const here = { namespace: "edge" }
        const orphans = Effect.map(
          api.list(KubeEvents, here),
          (events) => events.filter(({ reason }) => reason === "OrphansHeld").map(({ message }) => message)
        )
        const names = ["a", "b", "c", "d", "e"]
        yield* tells.close
        for (const name of names) yield* api.create(Pods, { ...web, metadata: { ...here, name } })
        yield* until(Effect.map(device.runtime.runs, (runs) => runs.length === names.length))
        yield* handOver(Effect.void)
        yield* Effect.sleep("5 minutes")
        assert.deepStrictEqual(yield* orphans, [])
        // Those that are gone indeed are, to one that has never seen them, and go on.
        yield* device.transport.refuse("Refused")
        yield* device.transport.cut()
        yield* killTwo
        for (const name of names) yield* api.delete(Pods, { ...here, name }, { gracePeriodSeconds: 0 })
        yield* startOne
        yield* device.transport.refuse(undefined)
        yield* Effect.sleep("5 minutes")
        assert.lengthOf(yield* orphans, 1)
        assert.isTrue((yield* device.runtime.runs).every(({ finishedAt }) => finishedAt === undefined))
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))
})
