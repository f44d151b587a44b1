/** What happens below an object's own path. */
import { Effect, Result } from "effect"
import type { Authorizer } from "../authority/Authorizer.ts"
import { issueToken } from "../authority/serviceAccountTokens.ts"
import { type ApiFailure, methodNotAllowed, notFound, unknownPath } from "../object/ApiFailure.ts"
import { listAt, objectAt } from "../object/json.ts"
import type { KubeObject } from "../object/KubeObject.ts"
import { shownAs } from "../registry/Registry.ts"
import type { ResourceType } from "../registry/ResourceType.ts"
import type { ApiRequest } from "./ApiRequest.ts"
import { decodeBody, decodePatch } from "./bodies.ts"
import { approving } from "./certificateApproval.ts"
import { nodeTarget, podTarget, proxied } from "./kubeletTargets.ts"
import { addEphemeralContainers, bindPod, evictPod, resizeContainers } from "./podSubresources.ts"
import { getObject, shaped } from "./reads.ts"
import { json } from "./respond.ts"
import type { ResourceRoute } from "./Route.ts"
import { scaleOf, scaling } from "./scale.ts"
import { updateObject } from "./updateObject.ts"
import type { Caller, World } from "./World.ts"
import { asking, deleting, patch, patchOf, sameUid, update } from "./writes.ts"

type Change = (current: KubeObject) => Result.Result<KubeObject, ApiFailure>

export interface Exchange {
  readonly world: World
  readonly authorizer: Authorizer
  readonly type: ResourceType
  readonly route: ResourceRoute
  readonly request: ApiRequest
  readonly user: Caller
}

/** The change a PUT or PATCH asks for. */
const changeOf = Effect.fnUntraced(
  function*({ type, request }: Exchange, now: number): Effect.fn.Return<Change, ApiFailure> {
    if (request.method === "PUT") {
      const body = yield* decodeBody(request)
      return () => Result.succeed(body)
    }
    if (request.method !== "PATCH") return yield* methodNotAllowed()
    return sameUid(type, yield* Effect.fromResult(patchOf(type, request, yield* decodePatch(request), "any", now)))
  }
)

/** PUT and PATCH of a subresource that shows the whole object but lets only a part of it change. */
const changing = Effect.fnUntraced(function*(exchange: Exchange, narrow: (change: Change) => Change) {
  const { world, type, route, request, user } = exchange
  if (request.method === "GET") return yield* getObject(world, type, route, request)
  const ask = yield* asking(request, user)
  const change = yield* changeOf(exchange, ask.moment.now)
  const stored = yield* Effect.fromResult(
    updateObject(world, type, route.namespace, route.name, { part: "any", change: narrow(change) }, ask)
  )
  return shaped(request, type, stored, ask.moment.now)
})

const statusOf = ({ world, type, route, request, user }: Exchange) => {
  switch (request.method) {
    case "GET":
      return getObject(world, type, route, request)
    case "PUT":
      return update(world, type, route, request, user, "status")
    case "PATCH":
      return patch(world, type, route, request, user, "status")
    default:
      return Effect.fail(methodNotAllowed())
  }
}

const scale = Effect.fnUntraced(function*(exchange: Exchange) {
  const { world, type, route, request, user } = exchange
  const found = world.store.get(type.collection, route.namespace, route.name)
  if (found === undefined) return yield* notFound(type, route.name)
  if (request.method === "GET") return json(200, scaleOf(type, shownAs(type, found.object)))
  const ask = yield* asking(request, user)
  const change = yield* changeOf({ ...exchange, type: { ...type, kind: "Scale" } }, ask.moment.now)
  const stored = yield* Effect.fromResult(
    updateObject(world, type, route.namespace, route.name, { part: "main", change: scaling(type, change) }, ask)
  )
  return json(200, scaleOf(type, shownAs(type, stored.object)))
})

const created = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 }

const posting = Effect.fnUntraced(function*({ world, type, route, request, user }: Exchange) {
  if (request.method !== "POST") return yield* methodNotAllowed()
  const body = yield* decodeBody(request)
  const ask = yield* asking(request, user)
  switch (route.subresource) {
    case "binding":
      yield* Effect.fromResult(bindPod(world, type, route.namespace, route.name, body, ask))
      return json(201, created)
    case "eviction":
      yield* Effect.fromResult(
        evictPod(world, type, route.namespace, route.name, body, deleting(ask, objectAt(body, "deleteOptions")))
      )
      return json(201, created)
    default: {
      const account = world.store.get(type.collection, route.namespace, route.name)
      if (account === undefined) return yield* notFound(type, route.name)
      return json(201, yield* issueToken(world.store, account.object, body))
    }
  }
})

/** Only the finalizers of a namespace may change here; the last one gone, the namespace goes. */
const finalizing = (change: Change): Change => (namespace) =>
  Result.map(change(namespace), (wanted) => ({
    ...namespace,
    metadata: wanted["metadata"] ?? {},
    spec: { finalizers: listAt(wanted, "spec", "finalizers") }
  }))

export const subresource = Effect.fnUntraced(function*(exchange: Exchange) {
  const { world, type, route, request, user, authorizer } = exchange
  if (!type.subresources.some(({ name }) => name === route.subresource)) return yield* unknownPath()
  switch (route.subresource) {
    case "status":
      return yield* statusOf(exchange)
    case "scale":
      return yield* scale(exchange)
    case "ephemeralcontainers":
      return yield* changing(exchange, addEphemeralContainers)
    case "resize":
      return yield* changing(exchange, resizeContainers)
    case "finalize":
      return yield* changing(exchange, finalizing)
    case "approval": {
      const ask = yield* asking(request, user)
      return yield* changing(exchange, (change) => approving(authorizer, type, ask, change))
    }
    case "log":
      return yield* proxied(yield* Effect.fromResult(podTarget(world, route, request)), true)
    case "proxy":
      return yield* proxied(yield* Effect.fromResult(nodeTarget(world, route, request)), false)
    case "exec":
    case "attach":
    case "portforward":
      return json(400, {
        kind: "Status",
        apiVersion: "v1",
        metadata: {},
        status: "Failure",
        reason: "BadRequest",
        message: "Upgrade request required",
        code: 400
      })
    default:
      return yield* posting(exchange)
  }
})
