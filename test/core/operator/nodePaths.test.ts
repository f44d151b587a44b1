/** What scrapers read of a node, in a whole system: agent, link, operator; and what that costs the line. */
import { assert, describe, it } from "@effect/vitest"
import { type Context, Effect, Schedule } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Pods } from "../../../core/kube/Pod.ts"
import { KubeletBackend, type MetricsPage } from "../../../core/kubelet/KubeletBackend.ts"
import { bytesOf } from "../../../core/link/Traffic.ts"
import { isMirrorPod } from "../../../core/node/hostPod.ts"
import { Fleet } from "../../../core/operator/Fleet.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"

const pods = ["one", "two", "three", "four", "five"]

class NotYet extends Error {}
const eventually = <A, E, R>(look: Effect.Effect<A | undefined, E, R>) =>
  look.pipe(
    Effect.flatMap((seen) => seen === undefined ? Effect.fail(new NotYet()) : Effect.succeed(seen)),
    Effect.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 300 })))
  )

interface Given {
  readonly backend: Context.Service.Shape<typeof KubeletBackend>
  readonly page: (page: MetricsPage) => Effect.Effect<string>
  /** Bytes of metrics that its link has carried, both ways. */
  readonly bytes: () => number
  readonly device: Effect.Success<ReturnType<typeof makeDevice>>
}

/** A device with five pods, each busy with a tenth of a core. */
const inWorld = <E>(seed: number, budget: object, story: (given: Given) => Effect.Effect<void, E, KubeApi>) =>
  simulate(seed, () =>
    Effect.gen(function*() {
      let served:
        | { readonly backend: Given["backend"]; readonly fleet: Context.Service.Shape<typeof Fleet> }
        | undefined
      const api = yield* KubeApi
      yield* createNamespaces
      const device = yield* makeDevice("edge-1", 1)
      yield* device.runtime.script(() => true, { cpu: 100 })
      const beside = Effect.gen(function*() {
        served = { backend: yield* KubeletBackend, fleet: yield* Fleet }
      })
      const operator = yield* makeOperator([device], undefined, beside)
      yield* operator.start
      yield* api.create(
        EdgeDevices,
        device.object({ connectivity: { method: "grpc", budget }, identity: { publicKey: device.publicKey } })
      )
      yield* device.agent.start
      for (const name of pods) {
        yield* eventually(
          Effect.option(api.create(Pods, {
            apiVersion: "v1",
            kind: "Pod",
            metadata: { namespace: "edge", name },
            spec: { nodeName: "edge-1", containers: [{ name: "main", image: "busybox:1.36" }] }
          })).pipe(Effect.map((made) => made._tag === "Some" ? made.value : undefined))
        )
      }
      yield* eventually(Effect.map(
        api.list(Pods, { namespace: "edge" }),
        (all) =>
          all.filter((pod) => pod.status?.phase === "Running" && !isMirrorPod(pod)).length === pods.length
            ? true
            : undefined
      ))
      if (served === undefined) return yield* Effect.die(new NotYet())
      const { backend, fleet } = served
      yield* story({
        backend,
        page: (page) =>
          backend.metrics("edge-1", page).pipe(
            Effect.map((text) => text ?? "nothing"),
            Effect.catch(({ message }) => Effect.succeed(message))
          ),
        bytes: () => bytesOf(fleet.traffic()[0]!.traffic.ever(), "metrics"),
        device
      })
    }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie))

const cpuOf = (text: string, pod: string): { readonly seconds: number; readonly at: number } => {
  const line = new RegExp(
    `^container_cpu_usage_seconds_total\\{container="main",namespace="edge",pod="${pod}"\\} (\\S+) (\\d+)$`,
    "m"
  )
  const [, seconds, at] = line.exec(text) ?? []
  return { seconds: Number(seconds), at: Number(at) }
}

describe("what scrapers read of a node", () => {
  it.live("tells of each pod what it used, from two samples as the share of a core that it had", () =>
    inWorld(1, {}, ({ backend, page }) =>
      Effect.gen(function*() {
        const first = yield* page("resource")
        yield* Effect.sleep("5 minutes")
        const second = yield* page("resource")
        for (const pod of pods) {
          const [before, now] = [cpuOf(first, pod), cpuOf(second, pod)]
          assert.closeTo((now.seconds - before.seconds) / ((now.at - before.at) / 1000), 0.1, 0.001, pod)
        }
        const summary = JSON.stringify(yield* backend.summary("edge-1", { onlyCpuAndMemory: false }))
        assert.include(summary, "\"nodeName\":\"edge-1\"")
        for (const pod of pods) assert.include(summary, `"name":"${pod}"`)
        assert.match(yield* page("cadvisor"), /^machine_cpu_cores 4 \d+$/m)
        assert.match(yield* page(""), /^kubelet_running_pods 5$/m)
        assert.match(yield* page("probes"), /^# TYPE prober_probe_total counter$/m)
        assert.deepInclude(yield* backend.configuration("edge-1"), { kind: "KubeletConfiguration", maxPods: 10 })
        assert.isUndefined(yield* backend.metrics("edge-2", "resource"))
        assert.isUndefined(yield* backend.summary("edge-2", { onlyCpuAndMemory: true }))
      })))

  it.live("costs the line at most 200 bytes every five minutes, though it is read every 15 seconds", () =>
    inWorld(2, {}, ({ bytes, page }) =>
      Effect.gen(function*() {
        assert.strictEqual(bytes(), 0)
        yield* page("resource")
        const first = bytes()
        assert.isAbove(first, 0)
        assert.isAtMost(first, 500)
        for (let scrape = 0; scrape < 240; scrape++) {
          yield* Effect.sleep("15 seconds")
          yield* page("resource")
        }
        const each = (bytes() - first) / 12
        assert.isAbove(each, 50)
        assert.isAtMost(each, 200)
      })))

  it.live("is refused with a sentence once the budget of metrics is used up, and is no reason to hold up pods", () =>
    inWorld(3, { metrics: 250 }, ({ page }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        assert.include(yield* page("resource"), "node_cpu_usage_seconds_total")
        yield* Effect.sleep("5 minutes")
        assert.match(
          yield* page("resource"),
          /^device edge-1 has used up what it may spend on metrics in a day, 250 bytes: ask again after .*, or raise spec\.connectivity\.budget\.metrics$/u
        )
        yield* api.delete(Pods, { namespace: "edge", name: "one" })
        yield* eventually(Effect.map(
          api.list(Pods, { namespace: "edge" }),
          (all) => all.filter((pod) => !isMirrorPod(pod)).length === pods.length - 1 ? true : undefined
        ))
      })))

  it.live("is refused while the device is away and its last sample is too old; what the operator knows by itself goes on", () =>
    inWorld(4, {}, ({ device, page }) =>
      Effect.gen(function*() {
        const last = yield* page("resource")
        yield* device.agent.kill
        yield* Effect.sleep("4 minutes")
        assert.strictEqual(yield* page("resource"), last)
        yield* Effect.sleep("2 minutes")
        const away = "device edge-1 is not connected: there are no measurements until it is back"
        assert.strictEqual(yield* page("resource"), away)
        assert.strictEqual(yield* page("cadvisor"), away)
        assert.match(yield* page(""), /^aranya_node_device_connected 0$/m)
        yield* device.agent.start
        yield* Effect.sleep("2 minutes")
        assert.isAbove(cpuOf(yield* page("resource"), "two").at, cpuOf(last, "two").at)
      })))
})
