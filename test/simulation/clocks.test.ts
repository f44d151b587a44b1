/** What clocks that are wrong, or set while all goes on, may not change. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { Base64 } from "effect/encoding"
import { EdgeDevices } from "../../core/device/EdgeDevice.ts"
import { KubeEvents, Leases } from "../../core/kube/kinds.ts"
import { KubeApi } from "../../core/kube/KubeApi.ts"
import { Nodes } from "../../core/kube/Node.ts"
import { type Pod, Pods } from "../../core/kube/Pod.ts"
import { exits, forever } from "../fakes/runtime/Program.ts"
import { type HostClock, makeHostClock } from "./HostClock.ts"
import { simulate } from "./VirtualTime.ts"
import {
  createNamespaces,
  makeDevice,
  makeOperator,
  type Program,
  type SimulatedDevice,
  worldLayerWith
} from "./World.ts"

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

class NotYet extends Error {}

const eventually = <A, E, R>(look: Effect.Effect<A, E, R>, holds: (seen: A) => boolean) =>
  look.pipe(
    Effect.flatMap((seen) => holds(seen) ? Effect.succeed(seen) : Effect.fail(new NotYet(JSON.stringify(seen)))),
    Effect.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 120 })))
  )

interface Given {
  readonly device: SimulatedDevice
  readonly operator: Program
  /** Of the device's host and the operator's; the world's own is right. */
  readonly clocks: { readonly device: HostClock; readonly operator: HostClock }
  readonly now: () => number
}

/** One device and one operator whose clocks are off by so much, and a pod. */
const inWorld = <E>(
  seed: number,
  off: { readonly device?: number; readonly operator?: number; readonly ends?: number },
  story: (given: Given) => Effect.Effect<void, E, KubeApi>
) =>
  simulate(seed, (time) =>
    Effect.gen(function*() {
      const api = yield* KubeApi
      const clocks = {
        device: makeHostClock(time, { offsetMillis: off.device ?? 0, rate: 1.0002 }),
        operator: makeHostClock(time, { offsetMillis: off.operator ?? 0, rate: 0.9998 })
      }
      yield* createNamespaces
      const device = yield* makeDevice("edge-1", 1, undefined, undefined, clocks.device.clock)
      yield* device.runtime.script(() => true, off.ends === undefined ? { run: forever } : { run: exits(off.ends) })
      const operator = yield* makeOperator([device], undefined, undefined, "operator", clocks.operator.clock)
      yield* operator.start
      yield* api.create(EdgeDevices, device.object())
      yield* device.agent.start
      yield* Effect.sleep("5 seconds")
      yield* api.create(Pods, {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { namespace: "edge", name: "web" },
        spec: { nodeName: "edge-1", restartPolicy: "Always", containers: [{ name: "main", image: "busybox:1.36" }] }
      })
      yield* eventually(device.runtime.runs, (runs) => runs.length > 0)
      yield* story({ device, operator, clocks, now: () => time.now })
    }).pipe(Effect.scoped, Effect.provide(worldLayerWith("quick")), Effect.orDie))

const web = Effect.gen(function*() {
  const api = yield* KubeApi
  return yield* api.get(Pods, { namespace: "edge", name: "web" })
})
const startedAt = (pod: Pod) => Date.parse(pod.status?.containerStatuses?.[0]?.state?.running?.startedAt ?? "")
const firstRun = ({ runtime }: SimulatedDevice) => Effect.map(runtime.runs, ([run]) => run?.startedAt ?? 0)

describe("a container that crashes", () => {
  it.live("starts again in time though the device's clock was set back by a day while it waited", () =>
    inWorld(1, { ends: 1 }, ({ clocks, device }) =>
      Effect.gen(function*() {
        yield* eventually(device.runtime.runs, (runs) => runs.length > 2)
        yield* Effect.sleep("1 second")
        clocks.device.jump(-day)
        const { length } = yield* device.runtime.runs
        yield* Effect.sleep("45 seconds")
        assert.isAbove((yield* device.runtime.runs).length, length)
      })))

  it.live("waits on though the device's clock was set forward by a day, also over the agent's next beginning in 1970", () =>
    inWorld(2, { ends: 1 }, ({ clocks, device }) =>
      Effect.gen(function*() {
        // Ends at 0, 0, 10 and 30 s; the next wait is of 40 s.
        yield* eventually(device.runtime.runs, (runs) => runs.length > 3)
        yield* Effect.sleep("5 seconds")
        clocks.device.jump(day)
        const { length } = yield* device.runtime.runs
        yield* Effect.sleep("20 seconds")
        assert.lengthOf(yield* device.runtime.runs, length)
        yield* device.agent.kill
        clocks.device.bootIn1970()
        yield* device.agent.start
        yield* Effect.sleep("50 seconds")
        assert.isAbove((yield* device.runtime.runs).length, length)
      })))
})

describe("the times of a pod", () => {
  const tolerable = 5000

  it.live("are those of the operator, whatever the device believes", () =>
    inWorld(3, { device: -3 * 365 * day, operator: 2 * hour }, ({ device, operator }) =>
      Effect.gen(function*() {
        const began = (yield* firstRun(device)) + 2 * hour
        assert.approximately(startedAt(yield* eventually(web, (pod) => startedAt(pod) > 0)), began, tolerable)
        // Another process has never heard of this device's clock.
        yield* operator.kill
        yield* device.runtime.crash(() => true, 1)
        yield* operator.start
        const again = yield* eventually(web, ({ status }) => status?.containerStatuses?.[0]?.restartCount === 1)
        const second = (yield* device.runtime.runs)[1]?.startedAt ?? 0
        assert.approximately(startedAt(again), second + 2 * hour, tolerable)
      })))

  it.live("are right also when the device has found a time server since it linked", () =>
    inWorld(4, { device: -50 * 365 * day }, ({ clocks, device }) =>
      Effect.gen(function*() {
        yield* eventually(web, (pod) => startedAt(pod) > 0)
        clocks.device.jump(50 * 365 * day)
        yield* device.runtime.crash(() => true, 1)
        const pod = yield* eventually(web, ({ status }) => status?.containerStatuses?.[0]?.restartCount === 1)
        assert.approximately(startedAt(pod), (yield* device.runtime.runs)[1]?.startedAt ?? 0, tolerable)
      })))

  it.live("are right also when the operator's own clock was set since", () =>
    inWorld(5, { operator: 5 * day }, ({ clocks, device }) =>
      Effect.gen(function*() {
        yield* eventually(web, (pod) => startedAt(pod) > 0)
        clocks.operator.jump(-5 * day)
        yield* device.runtime.crash(() => true, 1)
        const pod = yield* eventually(web, ({ status }) => status?.containerStatuses?.[0]?.restartCount === 1)
        assert.approximately(startedAt(pod), (yield* device.runtime.runs)[1]?.startedAt ?? 0, tolerable)
      })))
})

describe("a Node", () => {
  const transitions = Effect.gen(function*() {
    const api = yield* KubeApi
    const { status } = yield* api.get(Nodes, { name: "edge-1" })
    return status?.conditions?.find(({ type }) => type === "Ready")
  })
  const renewTime = Effect.gen(function*() {
    const api = yield* KubeApi
    return (yield* api.get(Leases, { namespace: "kube-node-lease", name: "edge-1" })).spec?.renewTime ?? ""
  })
  /** Ready at each of ten minutes, and its Lease later each time. */
  const staysReady = Effect.gen(function*() {
    let before = yield* renewTime
    for (let look = 0; look < 60; look++) {
      yield* Effect.sleep("10 seconds")
      assert.strictEqual((yield* transitions)?.status, "True")
      if (look % 6 !== 5) continue
      const now = yield* renewTime
      assert.isAbove(Date.parse(now), Date.parse(before) - 1)
      assert.notStrictEqual(now, before)
      before = now
    }
  })
  const ready = eventually(transitions, (condition) => condition?.status === "True")

  it.live("stays Ready when the operator's clock is set back", () =>
    inWorld(6, {}, ({ clocks }) =>
      Effect.gen(function*() {
        yield* ready
        yield* Effect.sleep("1 minute")
        clocks.operator.jump(-hour)
        yield* staysReady
      })))

  it.live("stays Ready when the next process has an earlier clock than the one before", () =>
    inWorld(7, { operator: day }, ({ clocks, operator }) =>
      Effect.gen(function*() {
        yield* ready
        yield* Effect.sleep("1 minute")
        const before = yield* renewTime
        yield* operator.kill
        clocks.operator.jump(-day)
        yield* operator.start
        yield* Effect.sleep("20 seconds")
        assert.isAbove(Date.parse(yield* renewTime), Date.parse(before))
        yield* staysReady
      })))
})

describe("an owner", () => {
  it.live("goes on hearing of a device with a wrong key when the operator's clock was set back", () =>
    inWorld(8, {}, ({ clocks, device }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const told = Effect.map(
          api.list(KubeEvents, { namespace: "edge" }),
          (events) =>
            events.filter(({ reason }) => reason === "WrongKey").reduce((sum, { count = 0 }) => sum + count, 0)
        )
        yield* device.agent.kill
        yield* api.patch(EdgeDevices, { namespace: "edge", name: "edge-1" }, {
          type: "merge",
          body: { spec: { identity: { publicKey: Base64.encode(new Uint8Array(32).fill(9)) } } }
        })
        // Until then the operator knows the former key.
        yield* Effect.sleep("5 seconds")
        yield* device.agent.start
        yield* eventually(told, (times) => times === 1)
        clocks.operator.jump(-30 * minute)
        yield* Effect.sleep("25 minutes")
        assert.isAbove(yield* told, 1)
      })))
})
