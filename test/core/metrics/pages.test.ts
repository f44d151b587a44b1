import { assert, describe, it } from "@effect/vitest"
import type { Pod } from "../../../core/kube/Pod.ts"
import { cadvisorMetrics } from "../../../core/metrics/cadvisorMetrics.ts"
import type { DeviceUsage } from "../../../core/metrics/DeviceUsage.ts"
import { exposition } from "../../../core/metrics/exposition.ts"
import { kubeletMetrics } from "../../../core/metrics/kubeletMetrics.ts"
import { measuredPods } from "../../../core/metrics/measuredPods.ts"
import { nextSample } from "../../../core/metrics/NodeSample.ts"
import { resourceMetrics } from "../../../core/metrics/resourceMetrics.ts"
import { statsSummary } from "../../../core/metrics/statsSummary.ts"
import { deviceUsage } from "../wire/samples.ts"

const start = 1_795_215_600_000
const usage = (at: number, cpu: number): DeviceUsage => ({
  at: start + at,
  host: { ...deviceUsage.host, cpuNanoseconds: 1000e9 + cpu, bootedAt: start - 3_600_000 },
  pods: [
    {
      uid: "u-1",
      network: { receivedBytes: 1000, sentBytes: 2000 },
      containers: [
        {
          name: "app",
          startedAt: start - 60_000,
          cpuNanoseconds: 2.5e9 + cpu,
          memoryUsedBytes: 3072,
          memoryWorkingSetBytes: 2048,
          memoryRssBytes: 1024
        },
        {
          name: "side",
          startedAt: start - 50_000,
          cpuNanoseconds: 1e9,
          memoryUsedBytes: 300,
          memoryWorkingSetBytes: 200,
          memoryRssBytes: 0
        }
      ]
    },
    { uid: "gone", network: undefined, containers: [{ ...deviceUsage.pods[0]!.containers[0]!, name: "x" }] }
  ]
})
const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name: "web", uid: "u-1" },
  spec: {
    nodeName: "edge-1",
    containers: [
      { name: "app", image: "nginx:1", resources: { limits: { cpu: "500m", memory: "64Mi" } } },
      { name: "side", image: "busybox:1" }
    ]
  },
  status: {
    phase: "Running",
    startTime: "2026-11-21T11:00:00Z",
    containerStatuses: ["app", "side"].map((name) => ({
      name,
      image: `docker.io/library/${name}:1`,
      imageID: "sha256:1",
      containerID: `docker://${name}-id`,
      ready: true,
      restartCount: 0,
      state: { running: { startedAt: "2026-11-21T11:00:00Z" } }
    }))
  }
}
const unmeasured: Pod = { ...pod, metadata: { namespace: "edge", name: "new", uid: "u-2" } }
const options = { offset: 0, exists: () => true }
const sample = nextSample(nextSample(undefined, usage(0, 0), options), usage(10_000, 2e9), options)
const pods = measuredPods(sample, [unmeasured, pod])
const machine = { cpuMillis: 4000, memoryBytes: 8 * 1024 ** 3, storageBytes: 64 * 1024 ** 3 }

/** As metrics-server reads it: a name, up to a brace or a blank; namespace, pod and container by name; a time in milliseconds. */
const parsed = (text: string) =>
  new Map(
    text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
      const [, name = "", labels = "", value = "", at] = /^([a-z_]+)(?:\{(.*)\})? (\S+)(?: (\d+))?$/.exec(line) ?? []
      return [labels === "" ? name : `${name}{${labels}}`, [Number(value), at === undefined ? 0 : Number(at)] as const]
    })
  )

describe("/metrics/resource", () => {
  const text = exposition(resourceMetrics(sample, pods))

  it("has what metrics-server reads, with the time of the sample", () => {
    const found = parsed(text)
    const at = start + 10_000
    assert.deepStrictEqual(found.get("node_cpu_usage_seconds_total"), [1002, at])
    assert.deepStrictEqual(found.get("node_memory_working_set_bytes"), [deviceUsage.host.memoryWorkingSetBytes, at])
    const app = `{container="app",namespace="edge",pod="web"}`
    assert.deepStrictEqual(found.get(`container_cpu_usage_seconds_total${app}`), [4.5, at])
    assert.deepStrictEqual(found.get(`container_memory_working_set_bytes${app}`), [2048, at])
    assert.deepStrictEqual(found.get(`container_start_time_seconds${app}`), [(start - 60_000) / 1000, at])
    assert.deepStrictEqual(found.get(`pod_cpu_usage_seconds_total{namespace="edge",pod="web"}`), [5.5, at])
    assert.deepStrictEqual(found.get(`pod_memory_working_set_bytes{namespace="edge",pod="web"}`), [2248, at])
    assert.deepStrictEqual(found.get("resource_scrape_error"), [0, 0])
    assert.deepStrictEqual(found.get("scrape_error"), [0, 0])
    assert.match(text, /^# TYPE container_cpu_usage_seconds_total counter$/m)
  })

  it("says nothing of pods that the API does not know, nor of what could not be read", () => {
    assert.notInclude(text, "\"x\"")
    assert.notInclude(text, "\"new\"")
    const { host } = deviceUsage
    const blind = nextSample(
      undefined,
      { ...usage(0, 0), host: { ...host, memoryWorkingSetBytes: 0 }, pods: [] },
      options
    )
    const less = exposition(resourceMetrics(blind, []))
    assert.notInclude(less, "node_memory_working_set_bytes")
    assert.include(less, "node_cpu_usage_seconds_total")
  })
})

describe("/metrics/cadvisor", () => {
  const found = parsed(exposition(cadvisorMetrics(sample, pods, machine)))
  const app =
    `container="app",id="/kubepods/podu-1/app-id",image="docker.io/library/app:1",name="app-id",namespace="edge",pod="web"`
  const whole = `container="",id="/kubepods/podu-1",image="",name="",namespace="edge",pod="web"`
  const root = `container="",id="/",image="",name="",namespace="",pod=""`

  it("tells containers, pods and the whole apart by their labels", () => {
    const value = (name: string) => found.get(name)?.[0]
    assert.strictEqual(value(`container_cpu_usage_seconds_total{${app},cpu="total"}`), 4.5)
    assert.strictEqual(value(`container_cpu_usage_seconds_total{${whole},cpu="total"}`), 5.5)
    assert.strictEqual(value(`container_cpu_usage_seconds_total{${root},cpu="total"}`), 1002)
    assert.strictEqual(value(`container_memory_usage_bytes{${app}}`), 3072)
    assert.strictEqual(value(`container_memory_working_set_bytes{${whole}}`), 2248)
    assert.strictEqual(value(`container_memory_rss{${app}}`), 1024)
    assert.strictEqual(value(`container_network_receive_bytes_total{${whole},interface="eth0"}`), 1000)
    assert.strictEqual(value(`container_network_transmit_bytes_total{${whole},interface="eth0"}`), 2000)
  })

  it("has limits as the pod's spec says them, and the size of the machine", () => {
    const value = (name: string) => found.get(name)?.[0]
    assert.strictEqual(value(`container_spec_cpu_quota{${app}}`), 50_000)
    assert.strictEqual(value(`container_spec_cpu_shares{${app}}`), 512)
    assert.strictEqual(value(`container_spec_memory_limit_bytes{${app}}`), 64 * 1024 ** 2)
    assert.strictEqual(value("machine_cpu_cores"), 4)
    assert.strictEqual(value("machine_memory_bytes"), 8 * 1024 ** 3)
  })
})

describe("/stats/summary", () => {
  const summary = (onlyCpuAndMemory: boolean) =>
    JSON.parse(JSON.stringify(statsSummary("edge-1", sample, pods, { onlyCpuAndMemory, machine })))
  const time = new Date(start + 10_000).toISOString().replace(".000Z", "Z")

  it("has node and pods as a kubelet's, with the rate between the last two samples", () => {
    const { node, pods: [web, ...others] } = summary(false)
    assert.isEmpty(others)
    assert.strictEqual(node.nodeName, "edge-1")
    assert.deepStrictEqual(node.cpu, { time, usageNanoCores: 2e8, usageCoreNanoSeconds: 1002e9 })
    assert.strictEqual(node.memory.availableBytes, machine.memoryBytes - deviceUsage.host.memoryWorkingSetBytes)
    assert.strictEqual(node.fs.capacityBytes, machine.storageBytes)
    assert.strictEqual(node.fs.inodesUsed, 300_000)
    assert.deepStrictEqual(web.podRef, { name: "web", namespace: "edge", uid: "u-1" })
    assert.deepStrictEqual(web.cpu, { time, usageNanoCores: 2e8, usageCoreNanoSeconds: 5.5e9 })
    assert.strictEqual(web.memory.workingSetBytes, 2248)
    assert.deepStrictEqual(web.containers.map(({ name }: { readonly name: string }) => name), ["app", "side"])
    assert.strictEqual(web.containers[0].cpu.usageNanoCores, 2e8)
    assert.strictEqual(web.containers[1].cpu.usageNanoCores, 0)
    assert.strictEqual(web.network.rxBytes, 1000)
    assert.notProperty(web.containers[1].memory, "rssBytes")
  })

  it("has CPU and memory alone where that is asked for", () => {
    const { node, pods: [web] } = summary(true)
    assert.deepStrictEqual(Object.keys(node), ["nodeName", "startTime", "cpu", "memory"])
    assert.notProperty(web, "network")
  })

  it("has no rate before the second sample", () => {
    const first = nextSample(undefined, usage(0, 0), options)
    const { node } = JSON.parse(JSON.stringify(
      statsSummary("edge-1", first, measuredPods(first, [pod]), { onlyCpuAndMemory: true, machine })
    ))
    assert.notProperty(node.cpu, "usageNanoCores")
  })
})

describe("/metrics", () => {
  it("counts pods and containers by the last word of the device, and says whether it is there", () => {
    const done: Pod = { ...pod, status: { ...pod.status, phase: "Succeeded", containerStatuses: [] } }
    const found = parsed(
      exposition(kubeletMetrics("edge-1", [pod, done], { connected: false, sampledAt: start }))
    )
    const values = Object.fromEntries([...found].map(([name, [value]]) => [name, value]))
    assert.deepStrictEqual(values, {
      "kubelet_node_name{node=\"edge-1\"}": 1,
      kubelet_active_pods: 1,
      kubelet_running_pods: 1,
      "kubelet_running_containers{container_state=\"running\"}": 2,
      "kubelet_running_containers{container_state=\"exited\"}": 0,
      "kubelet_running_containers{container_state=\"created\"}": 0,
      aranya_node_device_connected: 0,
      aranya_node_usage_sample_time_seconds: start / 1000
    })
  })
})
