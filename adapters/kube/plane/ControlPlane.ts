/** An in-memory Kubernetes: one store, one registry, one request handler. Pure; doors and controllers are built on it. */
import { Context, type Duration, Effect, Layer } from "effect"
import { Authorizer } from "./authority/Authorizer.ts"
import { TokenSigner } from "./authority/TokenSigner.ts"
import { bootstrap } from "./bootstrap.ts"
import type { ApiFailure } from "./object/ApiFailure.ts"
import { stringAt } from "./object/json.ts"
import { type Moment, moment } from "./object/Moment.ts"
import { customResources } from "./registry/customDefinition.ts"
import { resourceType } from "./registry/defineResource.ts"
import { builtinResources } from "./registry/groupResources.ts"
import { Registry } from "./registry/Registry.ts"
import type { ResourceType } from "./registry/ResourceType.ts"
import type { ApiRequest, ApiResponse, KubeletTarget } from "./request/ApiRequest.ts"
import { handle, type Server, upgradeTarget } from "./request/handle.ts"
import { metricsGroup } from "./request/metricsApi.ts"
import { ResourceMetrics } from "./request/ResourceMetrics.ts"
import type { World } from "./request/World.ts"
import { Store } from "./store/Store.ts"

export interface ControlPlaneOptions {
  /** Changes per resource that stay replayable for watches; older versions are answered with 410. */
  readonly historyWindow?: number
  /** PEM of the cluster's CA, published as kube-root-ca.crt in every namespace. */
  readonly rootCa?: string
  /** PEM of the CA of client certificates, published for kubelet endpoints. */
  readonly clientCa?: string
}

const metricsType = (kind: string, plural: string, namespaced: boolean): ResourceType =>
  resourceType(metricsGroup, "v1beta1", { kind, plural, singular: "", namespaced, verbs: ["get", "list"] })

export class ControlPlane extends Context.Service<ControlPlane, {
  readonly world: World
  readonly handle: (request: ApiRequest) => Effect.Effect<ApiResponse>
  /** Where an exec, attach or port-forward upgrade goes. */
  readonly upgradeTarget: (request: ApiRequest) => Effect.Effect<KubeletTarget, ApiFailure>
  /**
   * Scrapes all nodes at this interval, as metrics-server does, until it is interrupted; else a node is scraped when somebody asks
   * for metrics. Through KubeletConnection, if there is one.
   */
  readonly scrapeMetrics: (every: Duration.Input) => Effect.Effect<never>
  /** Told by the server door once it listens; clients see it in discovery. */
  readonly setAddress: (hostAndPort: string) => void
}>()("aranya/plane/ControlPlane") {
  static readonly layer = (options: ControlPlaneOptions = {}): Layer.Layer<ControlPlane, never, TokenSigner> =>
    Layer.effect(
      ControlPlane,
      Effect.gen(function*() {
        const world = makeWorld(yield* moment, options)
        let address = "kubernetes.default.svc:443"
        const server: Server = {
          world,
          authorizer: new Authorizer(world.store),
          metrics: new ResourceMetrics(),
          address: () => address
        }
        const signer = yield* TokenSigner
        return ControlPlane.of({
          world,
          handle: (request) => Effect.provideService(handle(server, request), TokenSigner, signer),
          upgradeTarget: (request) => Effect.provideService(upgradeTarget(server, request), TokenSigner, signer),
          scrapeMetrics: (every) =>
            Effect.suspend(() => {
              server.metrics.scrapedByTheClock = true
              return Effect.forever(Effect.andThen(server.metrics.scrapeAll(world), Effect.sleep(every)))
            }),
          setAddress: (hostAndPort) => {
            address = hostAndPort
          }
        })
      })
    )
}

/** Store and registry of a new cluster, with what every cluster has from its first second. */
export const makeWorld = (at: Moment, options: ControlPlaneOptions = {}): World => {
  const store = new Store(options.historyWindow)
  const registry = new Registry([
    ...builtinResources,
    metricsType("NodeMetrics", "nodes", false),
    metricsType("PodMetrics", "pods", true)
  ])
  const world = { store, registry }
  for (const type of builtinResources) declare(store, type)
  serveCustomResources(world)
  bootstrap(world, at, options)
  return world
}

const declare = (store: Store, type: ResourceType): void => {
  const indexes = Object.fromEntries(type.indexes.flatMap((field) => {
    const read = type.fields[field]
    return read === undefined ? [] : [[field, read] as const]
  }))
  // The core twin of a shared collection comes first in the registry and brings the indexes.
  if (type.conversion === undefined) store.declare(type.collection, indexes)
}

const definitions = "customresourcedefinitions.apiextensions.k8s.io"

/** Keeps the registry in step with the stored definitions; a definition that goes takes its objects along. */
const serveCustomResources = ({ store, registry }: World): void => {
  store.listen(definitions, "all", ({ type, revision }) => {
    const group = stringAt(revision.object, "spec", "group") ?? ""
    const plural = stringAt(revision.object, "spec", "names", "plural") ?? ""
    registry.remove(group, plural)
    if (type !== "DELETED") {
      for (const served of customResources(revision.object)) registry.add(served)
      return
    }
    const collection = `${plural}.${group}`
    for (const orphan of [...store.objects(collection)]) store.remove(collection, orphan)
  })
}
