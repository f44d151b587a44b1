import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { ControlPlane } from "../../../../adapters/kube/plane/ControlPlane.ts"
import {
  type ApiResponse,
  KubeletConnection,
  KubeletUnreachable
} from "../../../../adapters/kube/plane/request/ApiRequest.ts"
import { ask, node, planeLayer, pod } from "./asking.ts"

/** A kubelet of a node with 2 busy cores and a pod with half of one; what it does can be changed. */
const kubelet = {
  scrapes: 0,
  says: "figures" as "figures" | "nothing" | "500" | "never",
  /** The sample is this old. */
  ageMillis: 0,
  /** The clock by which it tells the time of a sample was put back by this. */
  putBackMillis: 0,
  /** When the container began, by the clock. */
  startedAt: 0,
  last: { path: "", at: 0 }
}

const figures = (taken: number): string => {
  const seconds = taken / 1000
  const at = taken - kubelet.putBackMillis
  const labels = `{container="c",namespace="default",pod="web"}`
  return [
    "# TYPE node_cpu_usage_seconds_total counter",
    `node_cpu_usage_seconds_total ${2 * seconds} ${at}`,
    `node_memory_working_set_bytes 1073741824 ${at}`,
    `container_cpu_usage_seconds_total${labels} ${Math.max(0, seconds - kubelet.startedAt) / 2} ${at}`,
    `container_memory_working_set_bytes${labels} 10485760 ${at}`,
    `container_start_time_seconds${labels} ${kubelet.startedAt} ${at}`,
    ""
  ].join("\n")
}

const connection = {
  request: (target: { readonly node: string; readonly path: string }) =>
    Effect.gen(function*(): Effect.fn.Return<ApiResponse, KubeletUnreachable> {
      kubelet.scrapes += 1
      const at = (yield* Clock.currentTimeMillis) - kubelet.ageMillis
      kubelet.last = { path: target.path, at }
      switch (kubelet.says) {
        case "figures":
          return { status: 200, headers: {}, body: figures(at) }
        case "500":
          return { status: 500, headers: {}, body: "device one is not connected" }
        case "nothing":
          return yield* new KubeletUnreachable({ node: target.node, cause: new Error("refused") })
        case "never":
          return yield* Effect.never
      }
    })
}

const inPlane = <E>(story: Effect.Effect<void, E, ControlPlane>) =>
  Effect.gen(function*() {
    Object.assign(kubelet, { scrapes: 0, says: "figures", ageMillis: 0, putBackMillis: 0, startedAt: 0 })
    yield* TestClock.adjust("1 hour")
    const status = {
      addresses: [{ type: "InternalIP", address: "192.0.2.1" }],
      daemonEndpoints: { kubeletEndpoint: { Port: 10250 } }
    }
    const one = node("one", { status })
    yield* ask("POST", "/api/v1/nodes", {
      body: {
        ...one,
        metadata: {
          name: "one",
          annotations: { "metrics.k8s.io/resource-metrics-path": "/metrics/nodes/one/metrics/resource" }
        }
      }
    })
    yield* ask("POST", "/api/v1/namespaces/default/pods", { body: pod("web", { spec: { nodeName: "one" } }) })
    yield* story
  }).pipe(
    Effect.provideService(KubeletConnection, connection),
    Effect.provide(planeLayer())
  )

const nodes = Effect.map(ask("GET", "/apis/metrics.k8s.io/v1beta1/nodes"), ({ json }) => json["items"])
const pods = Effect.map(ask("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"), ({ json }) => json["items"])
const one = ask("GET", "/apis/metrics.k8s.io/v1beta1/nodes/one")
const usageOf = (items: unknown) => (items as ReadonlyArray<{ readonly usage: unknown }>)[0]?.usage

describe("metrics.k8s.io", () => {
  it.effect("tells the rate between two scrapes, and nothing before the second", () =>
    inPlane(Effect.gen(function*() {
      assert.deepStrictEqual(yield* nodes, [])
      assert.strictEqual((yield* one).status, 404)
      assert.strictEqual(kubelet.last.path, "/metrics/nodes/one/metrics/resource")
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(usageOf(yield* nodes), { cpu: "2000000000n", memory: "1048576Ki" })
      const [web] = (yield* pods) as ReadonlyArray<{ readonly containers: unknown; readonly window: unknown }>
      assert.deepStrictEqual(web?.containers, [{ name: "c", usage: { cpu: "500000000n", memory: "10240Ki" } }])
      assert.strictEqual(web?.window, "15s")
      assert.strictEqual((yield* one).status, 200)
    })))

  it.effect("keeps the last rate while a node repeats a sample, with the time at which it was taken", () =>
    inPlane(Effect.gen(function*() {
      yield* nodes
      yield* TestClock.adjust("15 seconds")
      const taken = yield* nodes
      yield* TestClock.adjust("15 seconds")
      kubelet.ageMillis = 15_000
      const timeOf = (items: unknown) => (items as ReadonlyArray<{ readonly timestamp: unknown }>)[0]?.timestamp
      const repeated = yield* nodes
      assert.strictEqual(timeOf(repeated), timeOf(taken))
      assert.deepStrictEqual(usageOf(repeated), usageOf(taken))
    })))

  it.effect("tells nothing of a node whose clock was put back until it has answered twice again", () =>
    inPlane(Effect.gen(function*() {
      yield* nodes
      yield* TestClock.adjust("15 seconds")
      const before = usageOf(yield* nodes)
      kubelet.putBackMillis = 600_000
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual([yield* nodes, yield* pods], [[], []])
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(usageOf(yield* nodes), before)
    })))

  it.effect.each(["500", "nothing", "never"] as const)(
    "forgets a node that answers %s, until it has answered twice again",
    (says) =>
      inPlane(Effect.gen(function*() {
        yield* nodes
        yield* TestClock.adjust("15 seconds")
        assert.strictEqual(((yield* nodes) as ReadonlyArray<unknown>).length, 1)
        kubelet.says = says
        const during = yield* Effect.forkChild(nodes)
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* Fiber.join(during), [])
        kubelet.says = "figures"
        yield* TestClock.adjust("15 seconds")
        assert.deepStrictEqual(yield* nodes, [])
        yield* TestClock.adjust("15 seconds")
        assert.strictEqual(((yield* nodes) as ReadonlyArray<unknown>).length, 1)
      }))
  )

  it.effect("tells nothing of a container that began anew until two scrapes have seen it", () =>
    inPlane(Effect.gen(function*() {
      yield* pods
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual(((yield* pods) as ReadonlyArray<unknown>).length, 1)
      yield* TestClock.adjust("15 seconds")
      kubelet.startedAt = (yield* Clock.currentTimeMillis) / 1000 - 5
      assert.deepStrictEqual(yield* pods, [])
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual(((yield* pods) as ReadonlyArray<unknown>).length, 1)
    })))

  it.effect("scrapes by the clock where that is wanted, whoever asks", () =>
    inPlane(Effect.gen(function*() {
      const { scrapeMetrics } = yield* ControlPlane
      yield* Effect.forkChild(scrapeMetrics("15 seconds"))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(kubelet.scrapes, 5)
      for (let times = 0; times < 10; times++) yield* nodes
      assert.strictEqual(kubelet.scrapes, 5)
      assert.deepStrictEqual(usageOf(yield* nodes), { cpu: "2000000000n", memory: "1048576Ki" })
      yield* ask("DELETE", "/api/v1/nodes/one")
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(yield* nodes, [])
      assert.strictEqual(kubelet.scrapes, 5)
    })))
})
