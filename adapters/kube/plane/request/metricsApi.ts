/** metrics.k8s.io/v1beta1, answered from the nodes' resource metrics as metrics-server would: two samples make a rate. */
import { Effect, Stream } from "effect"
import { type ApiFailure, notFound } from "../object/ApiFailure.ts"
import { type JsonObject, stringAt } from "../object/json.ts"
import { annotationsOf, type KubeObject, labelsOf, nameOf } from "../object/KubeObject.ts"
import { moment, timestamp } from "../object/Moment.ts"
import { parseLabelSelector } from "../store/labelSelector.ts"
import { type ApiRequest, type ApiResponse, KubeletConnection } from "./ApiRequest.ts"
import { kubeletAddress } from "./kubeletTargets.ts"
import { json } from "./respond.ts"
import type { ResourceRoute } from "./Route.ts"
import type { World } from "./World.ts"

interface Sample {
  readonly at: number
  readonly cpuSeconds: number
  readonly memoryBytes: number
}

type Samples = ReadonlyMap<string, Sample>

const line =
  /^(node|container)_(cpu_usage_seconds_total|memory_working_set_bytes)(?:\{([^}]*)\})?\s+(\S+)(?:\s+(\d+))?$/

const label = (labels: string, name: string): string => new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1] ?? ""

/** Keys are empty for the node itself, else namespace/pod/container. */
export const parseResourceMetrics = (text: string, now: number): Samples => {
  const samples = new Map<string, Sample>()
  for (const row of text.split("\n")) {
    const match = line.exec(row)
    if (match === null) continue
    const labels = match[3] ?? ""
    const key = match[1] === "node"
      ? ""
      : `${label(labels, "namespace")}/${label(labels, "pod")}/${label(labels, "container")}`
    const value = Number(match[4])
    if (!Number.isFinite(value)) continue
    const before = samples.get(key) ?? { at: now, cpuSeconds: 0, memoryBytes: 0 }
    samples.set(key, {
      ...before,
      at: match[5] === undefined ? before.at : Number(match[5]),
      ...(match[2] === "cpu_usage_seconds_total" ? { cpuSeconds: value } : { memoryBytes: value })
    })
  }
  return samples
}

const bodyText = (response: ApiResponse) =>
  typeof response.body === "string"
    ? Effect.succeed(response.body)
    : response.body instanceof Uint8Array
    ? Effect.succeed(new TextDecoder().decode(response.body))
    : response.body.pipe(Stream.decodeText(), Stream.mkString)

/** Remembers the previous sample of each node; a node's usage is the rate between the last two. */
export class ResourceMetrics {
  readonly #previous = new Map<string, Samples>()
  readonly #latest = new Map<string, Samples>()

  readonly scrape = (node: KubeObject) => {
    const target = kubeletAddress(node)
    const path = annotationsOf(node)["metrics.k8s.io/resource-metrics-path"]
    if (target === undefined) return Effect.void
    return Effect.gen({ self: this }, function*() {
      const kubelet = yield* KubeletConnection
      const { now } = yield* moment
      const latest = this.#latest.get(nameOf(node))
      // Two questions within a second tell no rate.
      if (latest !== undefined && now - (latest.get("")?.at ?? 0) < 1000) return
      const response = yield* kubelet.request({
        node: nameOf(node),
        ...target,
        method: "GET",
        path: typeof path === "string" ? path : "/metrics/resource",
        headers: {},
        body: new Uint8Array()
      })
      const samples = parseResourceMetrics(yield* bodyText(response), now)
      if (samples.size === 0) return
      if (latest !== undefined && latest.get("")?.at !== samples.get("")?.at) this.#previous.set(nameOf(node), latest)
      this.#latest.set(nameOf(node), samples)
    }).pipe(
      Effect.timeout("10 seconds"),
      Effect.catchTag(["KubeletUnreachable", "TimeoutError"], (error) => Effect.logDebug(error.message))
    )
  }

  usage(
    node: string,
    key: string
  ): { readonly at: number; readonly windowSeconds: number; readonly usage: JsonObject } | undefined {
    const now = this.#latest.get(node)?.get(key)
    if (now === undefined || now.memoryBytes === 0) return undefined
    const before = this.#previous.get(node)?.get(key)
    const seconds = before === undefined ? 0 : (now.at - before.at) / 1000
    const rate = before === undefined || seconds <= 0 ? 0 : Math.max(0, (now.cpuSeconds - before.cpuSeconds) / seconds)
    return {
      at: now.at,
      windowSeconds: seconds,
      usage: { cpu: `${Math.round(rate * 1e9)}n`, memory: `${Math.round(now.memoryBytes / 1024)}Ki` }
    }
  }

  containers(node: string, namespace: string, pod: string): ReadonlyArray<string> {
    const prefix = `${namespace}/${pod}/`
    return [...this.#latest.get(node)?.keys() ?? []].filter((key) => key.startsWith(prefix)).map((key) =>
      key.slice(prefix.length)
    )
  }
}

export const metricsGroup = "metrics.k8s.io"

const metricsMetadata = (object: KubeObject, now: number, namespace?: string): JsonObject => ({
  name: nameOf(object),
  ...(namespace === undefined ? {} : { namespace }),
  creationTimestamp: timestamp(now),
  labels: labelsOf(object)
})

export const metricsApi = Effect.fnUntraced(function*(
  world: World,
  metrics: ResourceMetrics,
  route: ResourceRoute,
  request: ApiRequest
): Effect.fn.Return<ApiResponse, ApiFailure> {
  const { now } = yield* moment
  const selected = yield* Effect.fromResult(parseLabelSelector(request.query.get("labelSelector") ?? ""))
  const ofNodes = route.plural === "nodes"
  const wanted = ofNodes
    ? [...world.store.objects("nodes")].map(({ object }) => object)
    : (route.namespace === "" ? [...world.store.objects("pods")] : world.store.inNamespace("pods", route.namespace))
      .map(({ object }) => object)
  const named = wanted.filter((object) =>
    (route.name === "" || nameOf(object) === route.name) && selected(labelsOf(object))
  )
  const nodeNames = new Set(named.map((object) => ofNodes ? nameOf(object) : nodeOf(object)))
  yield* Effect.forEach(
    [...nodeNames].flatMap((name): ReadonlyArray<KubeObject> => {
      const found = world.store.get("nodes", "", name)
      return found === undefined ? [] : [found.object]
    }),
    metrics.scrape,
    { concurrency: 16, discard: true }
  )
  const items = named.flatMap((object): ReadonlyArray<JsonObject> => {
    if (ofNodes) {
      const found = metrics.usage(nameOf(object), "")
      return found === undefined ? [] : [{
        metadata: metricsMetadata(object, now),
        timestamp: timestamp(found.at),
        window: `${found.windowSeconds}s`,
        usage: found.usage
      }]
    }
    const namespace = namespaceText(object)
    const containers = metrics.containers(nodeOf(object), namespace, nameOf(object)).flatMap((container) => {
      const found = metrics.usage(nodeOf(object), `${namespace}/${nameOf(object)}/${container}`)
      return found === undefined ? [] : [{ name: container, usage: found.usage }]
    })
    return containers.length === 0 ? [] : [{
      metadata: metricsMetadata(object, now, namespace),
      timestamp: timestamp(now),
      window: "15s",
      containers
    }]
  })
  const kind = ofNodes ? "NodeMetrics" : "PodMetrics"
  const apiVersion = `${metricsGroup}/v1beta1`
  if (route.name === "") return json(200, { kind: `${kind}List`, apiVersion, metadata: {}, items })
  const only = items[0]
  if (only === undefined) return yield* notFound({ group: metricsGroup, plural: route.plural, kind }, route.name)
  return json(200, { kind, apiVersion, ...only })
})

const nodeOf = (pod: KubeObject): string => stringAt(pod, "spec", "nodeName") ?? ""
const namespaceText = (pod: KubeObject): string => stringAt(pod, "metadata", "namespace") ?? ""
