/** What the nodes' kubelets last said of CPU and memory, kept as metrics-server keeps it: two samples make a rate. */
import { Effect, Schema, Stream } from "effect"
import { annotationsOf, type KubeObject, nameOf } from "../object/KubeObject.ts"
import { moment } from "../object/Moment.ts"
import { type ApiResponse, KubeletConnection } from "./ApiRequest.ts"
import { kubeletAddress } from "./kubeletTargets.ts"
import type { World } from "./World.ts"

interface Sample {
  readonly at: number
  readonly cpuSeconds: number
  readonly memoryBytes: number
  readonly startSeconds: number
}

type Samples = ReadonlyMap<string, Sample>

export interface Usage {
  readonly at: number
  readonly windowSeconds: number
  readonly cores: number
  readonly memoryBytes: number
}

class NoMetrics extends Schema.TaggedError<NoMetrics>()("NoMetrics", { detail: Schema.String }) {
  override get message() {
    return this.detail
  }
}

const line =
  /^(node_cpu_usage_seconds_total|node_memory_working_set_bytes|container_cpu_usage_seconds_total|container_memory_working_set_bytes|container_start_time_seconds)(?:\{([^}]*)\})?\s+(\S+)(?:\s+(\d+))?$/

const label = (labels: string, name: string): string => new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1] ?? ""

/** Keys are empty for the node itself, else namespace/pod/container. */
export const parseResourceMetrics = (text: string, now: number): Samples => {
  const samples = new Map<string, Sample>()
  for (const row of text.split("\n")) {
    const [, name = "", labels = "", said = "", time] = line.exec(row) ?? []
    const value = Number(said)
    if (name === "" || !Number.isFinite(value)) continue
    const key = name.startsWith("node_")
      ? ""
      : `${label(labels, "namespace")}/${label(labels, "pod")}/${label(labels, "container")}`
    const before = samples.get(key) ?? { at: now, cpuSeconds: 0, memoryBytes: 0, startSeconds: 0 }
    samples.set(key, {
      ...before,
      ...(name.endsWith("_start_time_seconds") ? { startSeconds: value } : {
        ...(name.endsWith("_seconds_total") ? { cpuSeconds: value } : { memoryBytes: value }),
        at: time === undefined ? before.at : Number(time)
      })
    })
  }
  // As metrics-server drops them: nothing runs without memory.
  return new Map([...samples].filter(([, { memoryBytes }]) => memoryBytes > 0))
}

const bodyText = (response: ApiResponse) =>
  typeof response.body === "string"
    ? Effect.succeed(response.body)
    : response.body instanceof Uint8Array
    ? Effect.succeed(new TextDecoder().decode(response.body))
    : response.body.pipe(Stream.decodeText(), Stream.mkString)

const scrapeLimit = "10 seconds"

const samplesOf = Effect.fnUntraced(function*(node: KubeObject) {
  const target = kubeletAddress(node)
  if (target === undefined) return yield* new NoMetrics({ detail: `node ${nameOf(node)} has no address` })
  const path = annotationsOf(node)["metrics.k8s.io/resource-metrics-path"]
  const kubelet = yield* KubeletConnection
  const response = yield* kubelet.request({
    node: nameOf(node),
    ...target,
    method: "GET",
    path: typeof path === "string" ? path : "/metrics/resource",
    headers: {},
    body: new Uint8Array()
  })
  const text = yield* bodyText(response)
  if (response.status !== 200) {
    return yield* new NoMetrics({ detail: `scraping node ${nameOf(node)}: ${response.status} ${text.slice(0, 300)}` })
  }
  return parseResourceMetrics(text, (yield* moment).now)
})

export class ResourceMetrics {
  readonly #last = new Map<string, Samples>()
  readonly #previous = new Map<string, Map<string, Sample>>()
  /** Somebody scrapes all nodes from time to time: who asks is answered from what is there. */
  scrapedByTheClock = false

  /** A node that does not answer has no metrics until it has answered twice again. */
  readonly scrape = (node: KubeObject): Effect.Effect<void> =>
    samplesOf(node).pipe(
      Effect.timeout(scrapeLimit),
      Effect.map((samples) => this.#learn(nameOf(node), samples)),
      Effect.catchTag(
        ["KubeletUnreachable", "TimeoutError", "NoMetrics"],
        (error) => Effect.andThen(Effect.sync(() => this.#forget(nameOf(node))), Effect.logDebug(error.message))
      )
    )

  readonly scrapeAll = (world: World): Effect.Effect<void> =>
    Effect.suspend(() => {
      const nodes = [...world.store.objects("nodes")].map(({ object }) => object)
      const names = new Set(nodes.map(nameOf))
      for (const known of [...this.#last.keys()]) if (!names.has(known)) this.#forget(known)
      return Effect.forEach(nodes, this.scrape, { concurrency: 16, discard: true })
    })

  #forget(node: string): void {
    this.#last.delete(node)
    this.#previous.delete(node)
  }

  /**
   * A scrape that brought nothing newer leaves the pair as it was; a container that began anew has no pair yet, nor has what is older
   * than both because a clock was put back.
   */
  #learn(node: string, samples: Samples): void {
    const last = this.#last.get(node)
    const previous = this.#previous.get(node)
    const pairs = new Map<string, Sample>()
    for (const [key, sample] of samples) {
      const before = last?.get(key)
      if (before === undefined || sample.startSeconds * 1000 >= before.at) continue
      const pair = sample.at > before.at ? before : previous?.get(key)
      if (pair !== undefined && pair.at < sample.at) pairs.set(key, pair)
    }
    this.#last.set(node, samples)
    this.#previous.set(node, pairs)
  }

  /** Undefined before the second sample. */
  usage(node: string, key: string): Usage | undefined {
    const now = this.#last.get(node)?.get(key)
    const before = this.#previous.get(node)?.get(key)
    if (now === undefined || before === undefined || now.cpuSeconds < before.cpuSeconds) return undefined
    const seconds = (now.at - before.at) / 1000
    return {
      at: now.at,
      windowSeconds: seconds,
      cores: (now.cpuSeconds - before.cpuSeconds) / seconds,
      memoryBytes: now.memoryBytes
    }
  }

  containers(node: string, namespace: string, pod: string): ReadonlyArray<string> {
    const prefix = `${namespace}/${pod}/`
    return [...this.#last.get(node)?.keys() ?? []].filter((key) => key.startsWith(prefix)).map((key) =>
      key.slice(prefix.length)
    )
  }
}
