/** `kubectl top` on devices of both runtimes: pods that burn a known share of the processor, against what the kernel says of them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Schedule } from "effect"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { cpus } from "node:os"
import { startEmbedded } from "../../adapters/kube/plane/server/startEmbedded.ts"
import { startDocker, whyNoDocker } from "./dockerd.ts"
import { asProcesses, type DeviceRuntime, onDocker } from "./killed/DeviceRuntime.ts"
import {
  apply,
  edgeDevice,
  eventually,
  grpcAuthority,
  type Kubectl,
  NotAsExpected,
  prepareAgent,
  prepareOperator
} from "./Line.ts"
import { findProgram, runProgram } from "./program.ts"
import { scratch } from "./scratch.ts"

/** Work and rest in turns, in the shell and in commands that it starts. */
const burn = "while :; do n=0; while [ $n -lt 60000 ]; do n=$((n+1)); done; busybox true; busybox sleep 0.1; done"

const pod = (node: string, name: string, image: string, script: string, more: object = {}) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name },
  spec: {
    nodeName: node,
    terminationGracePeriodSeconds: 1,
    tolerations: [{ key: "arhat.dev/namespace", operator: "Exists" }],
    containers: [{ name: "main", image, command: ["/bin/busybox", "sh", "-c", script], ...more }]
  }
})

/** Processor seconds of a container so far, from the kernel or the engine and not from what is tested. */
type Truth = Effect.Effect<number>

const ticksPerSecond = 100

/** Of all processes of the session that a process pod is, and of children they have waited for. */
const ofSession = (pid: number): Truth =>
  Effect.sync(() => {
    let ticks = 0
    for (const name of readdirSync("/proc").filter((each) => /^[0-9]+$/.test(each))) {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "utf8")
        const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ").map(Number)
        if (fields[3] !== pid) continue
        for (const place of [11, 12, 13, 14]) ticks += fields[place] ?? 0
      } catch {
        // Ended meanwhile.
      }
    }
    return ticks / ticksPerSecond
  })

interface Observed {
  readonly at: number
  readonly seconds: number
}

/** Looks again and again until the scope closes; tells the share of a core between two moments. */
const observe = Effect.fnUntraced(function*(truth: Truth) {
  const seen: Array<Observed> = []
  yield* truth.pipe(
    Effect.map((seconds) => void seen.push({ at: Date.now(), seconds })),
    Effect.andThen(Effect.sleep("250 millis")),
    Effect.forever,
    Effect.forkScoped
  )
  return (from: number, to: number): number => {
    const nearest = (at: number) =>
      seen.reduce((best, each) => Math.abs(each.at - at) < Math.abs(best.at - at) ? each : best)
    const [first, last] = [nearest(from), nearest(to)]
    return (last.seconds - first.seconds) / ((last.at - first.at) / 1000)
  }
})

interface PodMetrics {
  readonly timestamp: string
  readonly window: string
  readonly containers: ReadonlyArray<{ readonly usage: { readonly cpu: string; readonly memory: string } }>
}

const cores = (quantity: string): number => quantity.endsWith("n") ? Number(quantity.slice(0, -1)) / 1e9 : Number.NaN

const rows = (table: string): ReadonlyMap<string, ReadonlyArray<number>> =>
  new Map(
    table.trim().split("\n").map((line) => {
      const [name = "", ...columns] = line.trim().split(/\s+/)
      return [name, columns.map((column) => Number.parseInt(column, 10))]
    })
  )

const kubectlPath = findProgram("kubectl")

const top = Effect.fnUntraced(function*(
  devices: ReadonlyArray<DeviceRuntime>,
  kubectlPath: string,
  truthOf: (
    runtime: DeviceRuntime,
    id: string,
    agentData: string
  ) => Truth
) {
  const folder = yield* scratch
  const embedded = yield* startEmbedded({ metricResolution: "3 seconds" })
  const kubeconfigPath = `${folder}/kubeconfig`
  writeFileSync(kubeconfigPath, embedded.adminKubeconfigYaml, { mode: 0o600 })
  const always = ["--kubeconfig", kubeconfigPath, "--cache-dir", `${folder}/cache`, "-n", "edge"]
  const kubectl: Kubectl = (args, options) => runProgram(kubectlPath, [...always, ...args], options ?? {})
  writeFileSync(`${folder}/client-ca.pem`, embedded.kubeletClientCaPem)
  const operator = yield* prepareOperator({ kubeconfigPath, kubectl }, `${folder}/operator`, {
    clientCaFile: `${folder}/client-ca.pem`,
    metrics: { minInterval: "5s" }
  })
  yield* operator.start
  const caData = yield* grpcAuthority(kubectl)

  const shares = yield* Effect.forEach(devices, (runtime) =>
    Effect.gen(function*() {
      const node = `on-${runtime.name}`
      const agent = yield* prepareAgent(`${folder}/${node}`, {
        device: node,
        operatorKey: operator.publicKey,
        caData,
        endpoint: `localhost:${operator.grpcPort}`,
        runtime: runtime.config
      })
      yield* apply(kubectl, edgeDevice(node, agent.publicKey))
      yield* agent.start
      yield* eventually(kubectl, ["get", "node", node, "--no-headers"], (out) => / Ready /.test(out))
      const limits = { resources: { limits: { cpu: "300m", memory: "64Mi" } } }
      yield* apply(
        kubectl,
        pod(node, `${node}-burns`, runtime.image, burn, runtime.name === "docker" ? limits : {}),
        pod(node, `${node}-rests`, runtime.image, "exec busybox sleep 100000")
      )
      for (const name of [`${node}-burns`, `${node}-rests`]) {
        yield* eventually(kubectl, ["get", "pod", name, "--no-headers"], (out) => / 1\/1 +Running /.test(out))
      }
      const found = (yield* runtime.containers(agent.dataDir)).find(({ container, pod }) =>
        pod === `${node}-burns` && container === "main"
      )
      if (found === undefined) return assert.fail(`no container of ${node}-burns`)
      return [node, yield* observe(truthOf(runtime, found.id, agent.dataDir))] as const
    }), { concurrency: 2 })

  for (const [node, share] of shares) {
    yield* Effect.gen(function*() {
      const raw = yield* kubectl(["get", "--raw", `/apis/metrics.k8s.io/v1beta1/namespaces/edge/pods/${node}-burns`])
      if (raw.exitCode !== 0) return yield* new NotAsExpected({ what: `metrics of ${node}`, seen: raw.stderr })
      const metrics = JSON.parse(raw.stdout) as PodMetrics
      const to = Date.parse(metrics.timestamp)
      const from = to - Number.parseFloat(metrics.window) * 1000
      const told = cores(metrics.containers[0]?.usage.cpu ?? "")
      const real = share(from, to)
      // The time of metrics.k8s.io is in whole seconds, and a tick of the kernel is 10 ms.
      if (real > 0.02 && Math.abs(told - real) < 0.03 + 0.3 * real) return
      return yield* new NotAsExpected({ what: `the share of ${node}-burns`, seen: `told ${told}, really ${real}` })
    }).pipe(Effect.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 60 }))))
  }

  const pods = rows(yield* eventually(kubectl, ["top", "pod", "--no-headers"], (out) => rows(out).size >= 4))
  const nodes = rows(yield* eventually(kubectl, ["top", "node", "--no-headers"], (out) => rows(out).size >= 2))
  for (const [node] of shares) {
    const [burning = 0, burningMemory = -1] = pods.get(`${node}-burns`) ?? []
    const [resting = 1000, restingMemory = -1] = pods.get(`${node}-rests`) ?? []
    assert.isAbove(burning, 20, `${node}-burns, in thousandths of a core`)
    assert.isAtMost(burning, node.includes("docker") ? 360 : 1100)
    assert.isAtMost(resting, 15, `${node}-rests`)
    for (const memory of [burningMemory, restingMemory]) assert.isTrue(memory >= 0 && memory < 64, `${memory} Mi`)
    const [cpu = 0, , memory = 0] = nodes.get(node) ?? []
    assert.isAbove(cpu, burning / 2, `all of ${node}`)
    assert.isAtMost(cpu, cpus().length * 1100)
    assert.isAbove(memory, 50)
    const page = yield* kubectl(["get", "--raw", `/api/v1/nodes/${node}/proxy/metrics/cadvisor`])
    assert.match(
      page.stdout,
      new RegExp(`^container_cpu_usage_seconds_total\\{container="main",.*pod="${node}-burns",cpu="total"\\} \\d`, "m")
    )
    const summary = JSON.parse((yield* kubectl(["get", "--raw", `/api/v1/nodes/${node}/proxy/stats/summary`])).stdout)
    assert.strictEqual(summary.node.nodeName, node)
    assert.strictEqual(summary.pods.length, 2)
    assert.isAbove(summary.node.fs.capacityBytes, summary.node.fs.availableBytes)
    if (node.includes("docker")) assert.isAtLeast(summary.pods[0].network.rxBytes, 0)
    const configz = yield* kubectl(["get", "--raw", `/api/v1/nodes/${node}/proxy/configz`])
    assert.match(configz.stdout, /"kubeletconfig":\{"kind":"KubeletConfiguration"/)
  }
})

describe("kubectl top", () => {
  it.live(
    "shows what pods of docker and pods as processes really use, and the nodes they are on",
    () =>
      Effect.gen(function*() {
        const noDocker = yield* whyNoDocker
        if (Option.isNone(kubectlPath) || process.getuid?.() !== 0) {
          const why = Option.isNone(kubectlPath) ? "there is no kubectl on the PATH" : "pods as processes need root"
          return console.warn(`SKIPPED kubectl top: ${why}`)
        }
        const docker = Option.isNone(noDocker) ? yield* startDocker({ reuse: true }) : undefined
        if (docker === undefined) console.warn(`SKIPPED kubectl top on docker: ${Option.getOrElse(noDocker, () => "")}`)
        yield* top(
          docker === undefined ? [asProcesses] : [onDocker(docker), asProcesses],
          kubectlPath.value,
          (runtime, id, agentData) => {
            if (docker !== undefined && runtime.name === "docker") {
              const path = `/containers/${id.replace("docker://", "")}/stats`
              return docker.engine.json("GET", path, { query: { stream: "false", "one-shot": "true" } }).pipe(
                Effect.orDie,
                Effect.map((stats) =>
                  (stats as { readonly cpu_stats: { readonly cpu_usage: { readonly total_usage: number } } })
                    .cpu_stats.cpu_usage.total_usage / 1e9
                )
              )
            }
            const file = `${agentData}/processes/containers/${id.replace("process://", "")}/process`
            return ofSession(Number(readFileSync(file, "utf8").split(" ")[0]))
          }
        )
      }).pipe(Effect.scoped),
    600_000
  )
})
