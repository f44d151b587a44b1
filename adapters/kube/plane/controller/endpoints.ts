/** Says behind which addresses a Service is: one EndpointSlice and one Endpoints object per Service with a selector. */
import { Effect } from "effect"
import { at, booleanAt, equal, type JsonObject, numberAt, objectAt, objectsAt, stringAt } from "../object/json.ts"
import {
  controllerReference,
  isDeleting,
  type KubeObject,
  labelsOf,
  nameOf,
  namespaceOf,
  uidOf,
  withMetadata
} from "../object/KubeObject.ts"
import { isReady } from "../object/podReadiness.ts"
import type { World } from "../request/World.ts"
import type { Change } from "../store/Collection.ts"
import { labelMap } from "../store/labelSelector.ts"
import { change, make } from "./acting.ts"
import { controller } from "./controller.ts"
import { hasEnded } from "./scheduling.ts"
import { keyOf, ownKey } from "./workloadPods.ts"

const slices = "endpointslices.discovery.k8s.io"

const targetPort = (port: JsonObject, pod: KubeObject): number | undefined => {
  const target = at(port, "targetPort")
  if (typeof target === "number") return target
  const named = objectsAt(pod, "spec", "containers").flatMap((container) => objectsAt(container, "ports"))
    .find((candidate) => stringAt(candidate, "name") === target)
  return numberAt(named, "containerPort") ?? (target === undefined ? numberAt(port, "port") : undefined)
}

const reference = (pod: KubeObject): JsonObject => ({
  kind: "Pod",
  namespace: namespaceOf(pod),
  name: nameOf(pod),
  uid: uidOf(pod)
})

/** Services of the namespace that select the pod now or did before. */
const servicesOf = ({ revision, previous }: Change, world: World): ReadonlyArray<string> => {
  const pod = revision.object
  return world.store.inNamespace("services", namespaceOf(pod)).map(({ object }) => object).filter((service) => {
    const selector = objectAt(service, "spec", "selector")
    if (Object.keys(selector).length === 0) return false
    const matches = labelMap(selector)
    return matches(labelsOf(pod)) || (previous !== undefined && matches(labelsOf(previous.object)))
  }).map(keyOf)
}

const upsert = Effect.fnUntraced(
  function*(world: World, collection: string, namespace: string, name: string, body: JsonObject) {
    const existing = world.store.get(collection, namespace, name)?.object
    if (existing === undefined) return yield* make(world, collection, namespace, body)
    const { metadata: _, ...content } = body
    const same = Object.entries(content).every(([key, value]) => equal(existing[key], value))
    if (same) return undefined
    return yield* change(world, collection, existing, "main", (current) => ({ ...current, ...content }))
  }
)

export const endpoints = controller({
  name: "endpoints",
  watches: [
    { collection: "services", keys: ownKey },
    { collection: "pods", keys: servicesOf }
  ],
  reconcile: Effect.fnUntraced(function*(world: World, key: string) {
    const [namespace = "", name = ""] = key.split("/")
    const service = world.store.get("services", namespace, name)?.object
    const sliceName = `${name}-slice`
    // What belonged to a service that is gone goes by its owner reference.
    if (service === undefined || isDeleting(service)) return
    const selector = objectAt(service, "spec", "selector")
    if (Object.keys(selector).length === 0) return
    const matches = labelMap(selector)
    const publishUnready = booleanAt(service, "spec", "publishNotReadyAddresses") === true
    const pods = world.store.inNamespace("pods", namespace).map(({ object }) => object)
      .filter((pod) => matches(labelsOf(pod)) && !hasEnded(pod) && stringAt(pod, "status", "podIP"))
    const ports = objectsAt(service, "spec", "ports").map((port) => ({
      name: stringAt(port, "name") ?? "",
      port: (pods[0] === undefined ? numberAt(port, "targetPort") : targetPort(port, pods[0])) ??
        numberAt(port, "port") ?? 0,
      protocol: stringAt(port, "protocol") ?? "TCP"
    }))
    const conditions = (pod: KubeObject): JsonObject => {
      const serving = isReady(pod)
      const terminating = isDeleting(pod)
      return { ready: (serving && !terminating) || publishUnready, serving, terminating }
    }
    const owner = [controllerReference(service)]
    yield* upsert(
      world,
      slices,
      namespace,
      sliceName,
      withMetadata({
        addressType: "IPv4",
        endpoints: pods.map((pod) => ({
          addresses: [stringAt(pod, "status", "podIP") ?? ""],
          conditions: conditions(pod),
          nodeName: stringAt(pod, "spec", "nodeName") ?? "",
          targetRef: reference(pod)
        })),
        ports
      }, {
        name: sliceName,
        labels: {
          ...labelsOf(service),
          "kubernetes.io/service-name": name,
          "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"
        },
        ownerReferences: owner
      })
    )
    const address = (pod: KubeObject): JsonObject => ({
      ip: stringAt(pod, "status", "podIP") ?? "",
      nodeName: stringAt(pod, "spec", "nodeName") ?? "",
      targetRef: reference(pod)
    })
    const living = pods.filter((pod) => !isDeleting(pod))
    const ready = living.filter((pod) => isReady(pod) || publishUnready)
    const unready = living.filter((pod) => !isReady(pod) && !publishUnready)
    const subset = {
      ...(ready.length === 0 ? {} : { addresses: ready.map(address) }),
      ...(unready.length === 0 ? {} : { notReadyAddresses: unready.map(address) }),
      ports
    }
    yield* upsert(
      world,
      "endpoints",
      namespace,
      name,
      withMetadata({
        subsets: living.length === 0 ? [] : [subset]
      }, { name, labels: labelsOf(service), ownerReferences: owner })
    )
  })
})
