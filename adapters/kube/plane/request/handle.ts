/** The one request handler of the control plane: who asks, may they, and what is the answer. */
import { Effect } from "effect"
import { type Attributes, type Authorizer, refusal } from "../authority/Authorizer.ts"
import { apiAudiences, authenticateToken } from "../authority/serviceAccountTokens.ts"
import type { TokenSigner } from "../authority/TokenSigner.ts"
import { aggregatedDiscovery, apiGroup, coreVersions, groupList, resourceList } from "../discovery/groups.ts"
import { openApiDocument, openApiIndex, swagger, swaggerProtobuf } from "../discovery/openapi.ts"
import {
  type ApiFailure,
  forbiddenText,
  methodNotAllowed,
  tooLarge,
  unauthorized,
  unknownPath
} from "../object/ApiFailure.ts"
import type { JsonObject } from "../object/json.ts"
import { nameSelected } from "../store/fieldSelector.ts"
import type { ApiRequest, ApiResponse, KubeletTarget } from "./ApiRequest.ts"
import { bodyLimit, decodeBody } from "./bodies.ts"
import { podTarget } from "./kubeletTargets.ts"
import { metricsApi, metricsGroup } from "./metricsApi.ts"
import { getObject, listObjects, watchObjects } from "./reads.ts"
import type { ResourceMetrics } from "./ResourceMetrics.ts"
import { failure, json, jsonText, plain } from "./respond.ts"
import { review } from "./reviews.ts"
import { isWatch, parseRoute, type ResourceRoute, verbOf } from "./Route.ts"
import { subresource } from "./subresources.ts"
import type { Caller, World } from "./World.ts"
import { create, patch, remove, removeAll, update } from "./writes.ts"

/** The version the control plane claims; kubectl 1.31 to 1.33 are within its skew. */
export const serverVersion = { major: "1", minor: "32", gitVersion: "v1.32.0+aranya" }

export interface Server {
  readonly world: World
  readonly authorizer: Authorizer
  readonly metrics: ResourceMetrics
  /** Clients outside learn it from `/api`; host and port. */
  readonly address: () => string
}

const anonymous: Caller = { username: "system:anonymous", groups: ["system:unauthenticated"] }

const authenticate = Effect.fnUntraced(
  function*({ world }: Server, request: ApiRequest): Effect.fn.Return<Caller, ApiFailure, TokenSigner> {
    if (request.user !== undefined) {
      const groups = request.user.groups.includes("system:authenticated")
        ? request.user.groups
        : [...request.user.groups, "system:authenticated"]
      return { ...request.user, groups }
    }
    const token = /^bearer\s+(.+)$/i.exec(request.headers["authorization"] ?? "")?.[1]
    if (token === undefined) return anonymous
    const found = yield* authenticateToken(world.store, token.trim(), apiAudiences)
    return found === undefined ? yield* unauthorized() : found.user
  }
)

const authorize = (server: Server, user: Caller, attributes: Attributes): Effect.Effect<void, ApiFailure> => {
  if (server.authorizer.decide(user, attributes).allowed) return Effect.void
  return Effect.fail(forbiddenText(refusal(user, attributes)))
}

/** `--as` and `--as-group`: whoever may impersonate acts as somebody else, and as nobody more than that. */
const impersonate = Effect.fnUntraced(
  function*(server: Server, request: ApiRequest, user: Caller): Effect.fn.Return<Caller, ApiFailure> {
    const username = request.headers["impersonate-user"]
    if (username === undefined) return user
    const groups = (request.headers["impersonate-group"] ?? "").split(",").map((group) => group.trim()).filter((
      group
    ) => group !== "")
    yield* authorize(server, user, { verb: "impersonate", group: "", resource: "users", name: username })
    for (const name of groups) {
      yield* authorize(server, user, { verb: "impersonate", group: "", resource: "groups", name })
    }
    return { username, groups: [...new Set([...groups, "system:authenticated"])] }
  }
)

const COLLECTIVE = new Set(["list", "watch", "deletecollection"])

const attributesFor = (request: ApiRequest, route: ResourceRoute): Attributes => {
  const verb = verbOf(request, route)
  return {
    ...attributesOf(route),
    verb,
    // Who lists or watches one object by `metadata.name` needs the right to that name alone.
    name: COLLECTIVE.has(verb) && route.name === ""
      ? nameSelected(request.query.get("fieldSelector") ?? "")
      : route.name
  }
}

const attributesOf = (route: ResourceRoute): Omit<Attributes, "verb" | "name"> => ({
  group: route.group,
  resource: route.plural,
  subresource: route.subresource,
  // A namespace is authorised as living inside itself.
  namespace: route.plural === "namespaces" && route.group === "" ? route.name : route.namespace
})

const aggregatedType = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

const discovery = ({ world, address }: Server, request: ApiRequest, path: string): ApiResponse | undefined => {
  const parts = path.split("/").slice(1)
  const core = parts[0] === "api"
  if (!core && parts[0] !== "apis") return undefined
  if (parts.length === 1) {
    const wantsAggregate = (request.headers["accept"] ?? "").replaceAll(" ", "").split(",").includes(aggregatedType)
    if (wantsAggregate) {
      const body = JSON.stringify(aggregatedDiscovery(world.registry, core))
      const etag = `"${core ? "c" : "g"}${world.registry.revision}"`
      if (request.headers["if-none-match"] === etag) return { status: 304, headers: { etag }, body: "" }
      return jsonText(200, body, { "content-type": aggregatedType, etag, vary: "Accept" })
    }
    return json(200, core ? coreVersions(address()) : groupList(world.registry))
  }
  const [group, version] = core ? ["", parts[1] ?? ""] : [parts[1] ?? "", parts[2]]
  const found: JsonObject | undefined = version === undefined
    ? apiGroup(world.registry, group)
    : resourceList(world.registry, group, version)
  return found === undefined ? undefined : json(200, found)
}

const openApi = ({ world }: Server, request: ApiRequest, path: string): ApiResponse | undefined => {
  if (path === "/openapi/v3") return json(200, openApiIndex(world.registry))
  if (path === "/openapi/v2") {
    return (request.headers["accept"] ?? "").includes("protobuf")
      ? { status: 200, headers: { "content-type": "application/octet-stream" }, body: swaggerProtobuf }
      : json(200, swagger)
  }
  const match = /^\/openapi\/v3\/(?:api\/([^/]+)|apis\/([^/]+)\/([^/]+))$/.exec(path)
  if (match === null) return undefined
  const document = openApiDocument(world.registry, match[2] ?? "", match[3] ?? match[1] ?? "")
  return document === undefined ? undefined : json(200, document)
}

const healthy = new Set(["/healthz", "/livez", "/readyz"])

const nonResource = (server: Server, request: ApiRequest): ApiResponse | undefined => {
  const path = request.path.length > 1 ? request.path.replace(/\/+$/, "") : request.path
  if (healthy.has(path)) return plain(200, "ok")
  if (path === "/version") {
    return json(200, {
      ...serverVersion,
      gitCommit: "",
      gitTreeState: "clean",
      buildDate: "1970-01-01T00:00:00Z",
      goVersion: "",
      compiler: "",
      platform: ""
    })
  }
  return discovery(server, request, path) ?? openApi(server, request, path)
}

const resource = Effect.fnUntraced(function*(server: Server, route: ResourceRoute, request: ApiRequest, user: Caller) {
  const { world, authorizer } = server
  if (route.group === metricsGroup && world.registry.find(route.group, route.version, route.plural) !== undefined) {
    return yield* metricsApi(world, server.metrics, route, request)
  }
  const type = world.registry.find(route.group, route.version, route.plural)
  if (type === undefined) return yield* unknownPath()
  // The verb "get" is what tells stored resources from reviews.
  if (!type.verbs.includes("get")) {
    if (request.method !== "POST") return yield* methodNotAllowed()
    const body = yield* decodeBody(request)
    return json(201, yield* review(world, authorizer, type.group, type.kind, body, user, route.namespace))
  }
  if (type.namespaced && route.namespace === "" && (route.name !== "" || request.method === "POST")) {
    return yield* unknownPath()
  }
  if (!type.namespaced && route.namespace !== "") return yield* unknownPath()
  if (route.subresource !== "") return yield* subresource({ world, authorizer, type, route, request, user })
  switch (request.method) {
    case "GET":
      if (isWatch(request)) return yield* watchObjects(world, type, route, request)
      return route.name === ""
        ? yield* listObjects(world, type, route, request)
        : yield* getObject(world, type, route, request)
    case "POST":
      return route.name === "" ? yield* create(world, type, route, request, user) : yield* methodNotAllowed()
    case "PUT":
      return route.name === "" ? yield* methodNotAllowed() : yield* update(world, type, route, request, user, "main")
    case "PATCH":
      return route.name === "" ? yield* methodNotAllowed() : yield* patch(world, type, route, request, user, "main")
    case "DELETE":
      return route.name === ""
        ? yield* removeAll(world, type, route, request, user)
        : yield* remove(world, type, route, request, user)
    default:
      return yield* methodNotAllowed()
  }
})

/** Answers one request; refusals are Status objects, never failures. */
export const handle = Effect.fnUntraced(function*(server: Server, request: ApiRequest) {
  if (request.body.length > bodyLimit) return yield* tooLarge(`limit is ${bodyLimit} bytes`)
  const user = yield* impersonate(server, request, yield* authenticate(server, request))
  const route = parseRoute(request.path)
  if (route !== undefined) {
    yield* authorize(server, user, attributesFor(request, route))
    return yield* resource(server, route, request, user)
  }
  yield* authorize(server, user, { verb: request.method.toLowerCase(), path: request.path })
  return nonResource(server, request) ?? (yield* unknownPath())
}, Effect.catchTag("ApiFailure", (error) => Effect.succeed(failure(error))))

/** Where an upgrade request (exec, attach, portforward) is to be tunnelled. */
export const upgradeTarget = Effect.fnUntraced(
  function*(server: Server, request: ApiRequest): Effect.fn.Return<KubeletTarget, ApiFailure, TokenSigner> {
    const user = yield* impersonate(server, request, yield* authenticate(server, request))
    const route = parseRoute(request.path)
    if (
      route === undefined || route.plural !== "pods" || !["exec", "attach", "portforward"].includes(route.subresource)
    ) {
      return yield* unknownPath()
    }
    yield* authorize(server, user, attributesFor(request, route))
    return yield* Effect.fromResult(podTarget(server.world, route, request))
  }
)
