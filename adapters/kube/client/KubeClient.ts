/** The Kubernetes client: KubeApi over whatever HttpClient is provided, a pooled one in production, memory in the simulation. */
import { Effect, Layer } from "effect"
import type { HttpClient } from "effect/http"
import { KubeApi, KubeApiError, type Patch, type Place } from "../../../core/kube/KubeApi.ts"
import { type KubeResource, resourcePath } from "../../../core/kube/KubeResource.ts"
import type { KubeObject } from "../../../core/kube/ObjectMeta.ts"
import type { KubeClientConfig } from "./KubeClientConfig.ts"
import { KubeClientLimits } from "./KubeClientLimits.ts"
import { makeListing } from "./listing.ts"
import { makeObserve } from "./observe.ts"
import { decode, encode } from "./preserving.ts"
import { makeRequests } from "./Requests.ts"

/** Under which name the API server records who owns the fields that aranya writes. */
export const FIELD_MANAGER = "aranya"

const JSON_TYPE = "application/json"
const PATCH_TYPES = {
  strategic: "application/strategic-merge-patch+json",
  merge: "application/merge-patch+json",
  json: "application/json-patch+json",
  // Every JSON document is a YAML document, and no other type starts a server-side apply.
  apply: "application/apply-patch+yaml"
} as const satisfies Record<Patch["type"], string>

/** Kinds that are posted below another kind's path and live in another group. */
const SUBRESOURCE_VERSIONS: Readonly<Record<string, string>> = {
  TokenRequest: "authentication.k8s.io/v1",
  Eviction: "policy/v1",
  Binding: "v1",
  Scale: "autoscaling/v1"
}

const apiVersion = (resource: KubeResource<never>): string =>
  SUBRESOURCE_VERSIONS[resource.kind] ??
    (resource.group === "" ? resource.version : `${resource.group}/${resource.version}`)

const undecodable = (detail: string) => new KubeApiError({ reason: "Undecodable", status: 200, detail })
const unsendable = (detail: string) => new KubeApiError({ reason: "BadRequest", status: 0, detail })

const isStatus = (json: unknown): boolean =>
  typeof json === "object" && json !== null && "kind" in json && json.kind === "Status"

const make = Effect.gen(function*() {
  const requests = yield* makeRequests
  const limits = yield* KubeClientLimits
  const listing = makeListing(requests, limits)

  const read = <A extends KubeObject>(resource: KubeResource<A>, json: unknown) => {
    const result = decode(resource, json)
    return "object" in result
      ? Effect.succeed(result.object)
      : Effect.fail(undecodable(`the answer is no ${resource.kind}: ${result.problem}`))
  }

  const body = <A extends KubeObject>(resource: KubeResource<A>, object: A) => {
    const result = encode(resource, object)
    return "json" in result
      ? Effect.succeed({
        json: {
          apiVersion: apiVersion(resource as KubeResource<never>),
          kind: resource.kind,
          ...result.json as object
        },
        contentType: JSON_TYPE
      })
      : Effect.fail(unsendable(`this is no ${resource.kind}: ${result.problem}`))
  }

  const placed = <A extends KubeObject>(
    resource: KubeResource<A>,
    at: Place & { readonly subresource?: string }
  ): Effect.Effect<string, KubeApiError> =>
    at.name === ""
      ? Effect.fail(unsendable(`a ${resource.kind} needs a name`))
      : resource.namespaced && (at.namespace ?? "") === ""
      ? Effect.fail(unsendable(`${resource.kind} ${at.name} needs a namespace`))
      : Effect.succeed(resourcePath(resource, at))

  return KubeApi.of({
    get: (resource, at) =>
      placed(resource, at).pipe(
        Effect.flatMap((path) => requests.send({ method: "GET", path })),
        Effect.flatMap((json) => read(resource, json))
      ),

    list: (resource, selection) => listing.all(resource, selection ?? {}),

    create: Effect.fnUntraced(function*(resource, object, options) {
      const { name, namespace } = object.metadata
      const subresource = options?.subresource
      if (resource.namespaced && (namespace ?? "") === "") {
        return yield* unsendable(`${resource.kind} ${name ?? "to be created"} needs a namespace`)
      }
      const path = subresource === undefined
        ? resourcePath(resource, { namespace })
        : yield* placed(resource, { namespace, name: name ?? "", subresource })
      const query = { fieldManager: FIELD_MANAGER }
      const json = yield* requests.send({ method: "POST", path, query, body: yield* body(resource, object) })
      // A Binding and an Eviction are answered with a Status: it is done, and what was sent is what there is.
      return isStatus(json) ? object : yield* read(resource, json)
    }),

    replace: Effect.fnUntraced(function*(resource, object, options) {
      const { name, namespace } = object.metadata
      const at = { namespace, name: name ?? "" }
      const path = yield* placed(
        resource,
        options?.subresource === undefined ? at : { ...at, subresource: options.subresource }
      )
      const query = { fieldManager: FIELD_MANAGER }
      return yield* read(
        resource,
        yield* requests.send({ method: "PUT", path, query, body: yield* body(resource, object) })
      )
    }),

    patch: Effect.fnUntraced(function*(resource, at, patch) {
      const path = yield* placed(resource, at)
      const query = patch.type === "apply"
        ? { fieldManager: patch.fieldManager, force: patch.force === undefined ? undefined : String(patch.force) }
        : { fieldManager: FIELD_MANAGER }
      const json = yield* requests.send({
        method: "PATCH",
        path,
        query,
        body: { json: patch.body, contentType: PATCH_TYPES[patch.type] }
      })
      return yield* read(resource, json)
    }),

    delete: Effect.fnUntraced(function*(resource, at, options) {
      const path = yield* placed(resource, at)
      const { gracePeriodSeconds, resourceVersion, uid } = options ?? {}
      const preconditions = {
        ...(uid === undefined ? {} : { uid }),
        ...(resourceVersion === undefined ? {} : { resourceVersion })
      }
      const json = {
        apiVersion: "v1",
        kind: "DeleteOptions",
        ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
        ...(Object.keys(preconditions).length === 0 ? {} : { preconditions })
      }
      yield* requests.send({ method: "DELETE", path, body: { json, contentType: JSON_TYPE } })
    }),

    observe: makeObserve(requests, listing, limits)
  })
})

export const layer: Layer.Layer<KubeApi, never, HttpClient.HttpClient | KubeClientConfig> = Layer.effect(KubeApi, make)

/** The client as an embedding program names it. */
export const KubeClient = { layer } as const
