/** metrics.k8s.io/v1beta1, answered from the nodes' resource metrics as metrics-server would. */
import { Effect } from "effect"
import { type ApiFailure, notFound } from "../object/ApiFailure.ts"
import { type JsonObject, stringAt } from "../object/json.ts"
import { type KubeObject, labelsOf, nameOf } from "../object/KubeObject.ts"
import { moment, timestamp } from "../object/Moment.ts"
import { parseLabelSelector } from "../store/labelSelector.ts"
import type { ApiRequest, ApiResponse } from "./ApiRequest.ts"
import type { ResourceMetrics, Usage } from "./ResourceMetrics.ts"
import { json } from "./respond.ts"
import type { ResourceRoute } from "./Route.ts"
import type { World } from "./World.ts"

export const metricsGroup = "metrics.k8s.io"

const metadata = (object: KubeObject, now: number, namespace?: string): JsonObject => ({
  name: nameOf(object),
  ...(namespace === undefined ? {} : { namespace }),
  creationTimestamp: timestamp(now),
  labels: labelsOf(object)
})

const quantities = ({ cores, memoryBytes }: Usage): JsonObject => ({
  cpu: `${Math.round(cores * 1e9)}n`,
  memory: `${Math.round(memoryBytes / 1024)}Ki`
})

const measuredAt = ({ at, windowSeconds }: Usage): JsonObject => ({
  timestamp: timestamp(at),
  window: `${windowSeconds}s`
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
  if (!metrics.scrapedByTheClock) {
    const nodeNames = new Set(named.map((object) => ofNodes ? nameOf(object) : nodeOf(object)))
    yield* Effect.forEach(
      [...nodeNames].flatMap((name): ReadonlyArray<KubeObject> => {
        const found = world.store.get("nodes", "", name)
        return found === undefined ? [] : [found.object]
      }),
      metrics.scrape,
      { concurrency: 16, discard: true }
    )
  }
  const items = named.flatMap((object): ReadonlyArray<JsonObject> => {
    if (ofNodes) {
      const usage = metrics.usage(nameOf(object), "")
      return usage === undefined
        ? []
        : [{ metadata: metadata(object, now), ...measuredAt(usage), usage: quantities(usage) }]
    }
    const namespace = stringAt(object, "metadata", "namespace") ?? ""
    const known = metrics.containers(nodeOf(object), namespace, nameOf(object)).map((container) => ({
      container,
      usage: metrics.usage(nodeOf(object), `${namespace}/${nameOf(object)}/${container}`)
    }))
    const [first] = known
    // Half of a pod would look like all of it.
    if (first?.usage === undefined || known.some(({ usage }) => usage === undefined)) return []
    return [{
      metadata: metadata(object, now, namespace),
      ...measuredAt(first.usage),
      containers: known.flatMap(({ container, usage }) =>
        usage === undefined ? [] : [{ name: container, usage: quantities(usage) }]
      )
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
