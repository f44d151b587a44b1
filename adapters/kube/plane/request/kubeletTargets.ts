/** Turns pods/log, exec, attach, portforward and nodes/proxy into the request forms a kubelet expects. */
import { Effect, Result } from "effect"
import { type ApiFailure, badRequest, internalError, notFound } from "../object/ApiFailure.ts"
import { type JsonObject, numberAt, objectsAt, stringAt } from "../object/json.ts"
import { annotationsOf, type KubeObject, nameOf, namespaceOf } from "../object/KubeObject.ts"
import type { ApiRequest, ApiResponse, KubeletTarget } from "./ApiRequest.ts"
import { KubeletConnection } from "./ApiRequest.ts"
import { failure } from "./respond.ts"
import type { ResourceRoute } from "./Route.ts"
import type { World } from "./World.ts"

const pods = { group: "", plural: "pods", kind: "Pod" }
const nodes = { group: "", plural: "nodes", kind: "Node" }

/** kubeadm's preference. */
const addressTypes = ["InternalIP", "ExternalIP", "Hostname"]

export const kubeletAddress = (node: KubeObject): { readonly address: string; readonly port: number } | undefined => {
  const addresses = objectsAt(node, "status", "addresses")
  for (const type of addressTypes) {
    const address = stringAt(addresses.find((entry) => stringAt(entry, "type") === type), "address")
    if (address !== undefined && address !== "") {
      const port = numberAt(node, "status", "daemonEndpoints", "kubeletEndpoint", "Port") ?? 0
      return { address, port: port === 0 ? 10250 : port }
    }
  }
  return undefined
}

const hopByHop = new Set([
  "host",
  "connection",
  "authorization",
  "transfer-encoding",
  "content-length",
  "keep-alive",
  "te",
  "trailer",
  "proxy-authorization",
  "proxy-authenticate"
])

const forwardedHeaders = (request: ApiRequest): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(request.headers).filter(([name]) => !hopByHop.has(name)))

const targetOf = (
  node: KubeObject,
  request: ApiRequest,
  path: string,
  method = request.method
): Result.Result<KubeletTarget, ApiFailure> => {
  const found = kubeletAddress(node)
  if (found === undefined) return Result.fail(internalError(`no preferred addresses found; known addresses: []`))
  return Result.succeed({
    node: nameOf(node),
    ...found,
    method,
    path,
    headers: forwardedHeaders(request),
    body: request.body
  })
}

const defaultContainer = (pod: KubeObject): Result.Result<string, ApiFailure> => {
  const names = objectsAt(pod, "spec", "containers").map((container) => stringAt(container, "name") ?? "")
  const annotated = annotationsOf(pod)["kubectl.kubernetes.io/default-container"]
  if (typeof annotated === "string" && names.includes(annotated)) return Result.succeed(annotated)
  if (names.length === 1 && names[0] !== undefined) return Result.succeed(names[0])
  return Result.fail(
    badRequest(`a container name must be specified for pod ${nameOf(pod)}, choose one of: [${names.join(" ")}]`)
  )
}

const containerOf = (pod: KubeObject, asked: string | null): Result.Result<string, ApiFailure> => {
  if (asked === null || asked === "") return defaultContainer(pod)
  const known = ["containers", "initContainers", "ephemeralContainers"].some((list) =>
    objectsAt(pod, "spec", list).some((container) => stringAt(container, "name") === asked)
  )
  return known
    ? Result.succeed(asked)
    : Result.fail(badRequest(`container ${asked} is not valid for pod ${nameOf(pod)}`))
}

const truthy = (query: URLSearchParams, name: string) => ["true", "1"].includes(query.get(name) ?? "")

const logNumbers = ["sinceSeconds", "tailLines", "limitBytes"]

const logQuery = (query: URLSearchParams): string => {
  const result = new URLSearchParams()
  for (const flag of ["follow", "previous", "timestamps"]) if (truthy(query, flag)) result.set(flag, "true")
  for (const name of [...logNumbers, "sinceTime", "stream"]) {
    const value = query.get(name)
    if (value !== null) result.set(name, value)
  }
  return result.toString()
}

const streamQuery = (query: URLSearchParams): string => {
  const result = new URLSearchParams()
  for (const value of query.getAll("command")) result.append("command", value)
  // The kubelet's own names differ from the API's, and its flags are 1.
  for (const [from, to] of [["stdin", "input"], ["stdout", "output"], ["stderr", "error"], ["tty", "tty"]] as const) {
    if (truthy(query, from)) result.set(to, "1")
  }
  return result.toString()
}

const withQuery = (path: string, query: string) => query === "" ? path : `${path}?${query}`

/** Where a request about a pod's containers goes. */
export const podTarget = (
  world: World,
  route: ResourceRoute,
  request: ApiRequest
): Result.Result<KubeletTarget, ApiFailure> =>
  Result.gen(function*() {
    const pod = world.store.get("pods", route.namespace, route.name)?.object
    if (pod === undefined) return yield* Result.fail(notFound(pods, route.name))
    const nodeName = stringAt(pod, "spec", "nodeName") ?? ""
    const container = route.subresource === "portforward" ? "" : yield* containerOf(pod, request.query.get("container"))
    if (nodeName === "") return yield* Result.fail(badRequest(`pod ${nameOf(pod)} does not have a host assigned`))
    const node = world.store.get("nodes", "", nodeName)?.object
    if (node === undefined) return yield* Result.fail(notFound(nodes, nodeName))
    const place = `${encodeURIComponent(namespaceOf(pod))}/${encodeURIComponent(nameOf(pod))}`
    switch (route.subresource) {
      case "log":
        return yield* targetOf(
          node,
          request,
          withQuery(`/containerLogs/${place}/${container}`, logQuery(request.query))
        )
      case "portforward": {
        const ports = request.query.getAll("ports").flatMap((value) => value.split(","))
        const query = ports.length === 0 ? "" : new URLSearchParams({ port: ports.join(",") }).toString()
        return yield* targetOf(node, request, withQuery(`/portForward/${place}`, query))
      }
      default:
        return yield* targetOf(
          node,
          request,
          withQuery(`/${route.subresource}/${place}/${container}`, streamQuery(request.query))
        )
    }
  })

/** `nodes/x/proxy/...`; the node may be written `name:port` or `https:name:port`. */
export const nodeTarget = (
  world: World,
  route: ResourceRoute,
  request: ApiRequest
): Result.Result<KubeletTarget, ApiFailure> =>
  Result.gen(function*() {
    const parts = route.name.split(":")
    const name = parts.length === 3 ? parts[1] ?? "" : parts[0] ?? ""
    const port = Number(parts.length === 3 ? parts[2] : parts[1])
    const node = world.store.get("nodes", "", name)?.object
    if (node === undefined) return yield* Result.fail(notFound(nodes, name))
    const query = request.query.toString()
    const target = yield* targetOf(node, request, withQuery(route.rest === "" ? "/" : route.rest, query))
    return {
      ...target,
      ...(Number.isInteger(port) && port > 0 ? { port } : {}),
      headers: { ...target.headers, "x-forwarded-uri": withQuery(request.path, query) }
    }
  })

/** How a kubelet's refusal looks to the client of pods/log (facts as observed in kubectl). */
const translated = (status: number, text: string): JsonObject => {
  const base = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", code: status }
  switch (status) {
    case 400:
      return { ...base, reason: "BadRequest", message: text }
    case 401:
      return { ...base, reason: "Unauthorized", message: "the server has asked for the client to provide credentials" }
    case 403:
      return { ...base, reason: "Forbidden", message: `Forbidden: ${text}` }
    case 404:
      return { ...base, reason: "NotFound", message: "the server could not find the requested resource" }
    case 503:
      return { ...base, reason: "ServiceUnavailable", message: "the server is currently unable to handle the request" }
    default:
      return { ...base, reason: "InternalError", message: `Internal error occurred: ${text}` }
  }
}

export const proxied = Effect.fnUntraced(
  function*(target: KubeletTarget, translateErrors: boolean): Effect.fn.Return<ApiResponse> {
    const kubelet = yield* KubeletConnection
    const response = yield* kubelet.request(target).pipe(
      Effect.catchTag("KubeletUnreachable", (error) => Effect.succeed(failure(internalError(error.message))))
    )
    if (!translateErrors || response.status < 400 || response.headers["content-type"]?.startsWith("application/json")) {
      return response
    }
    const text = typeof response.body === "string"
      ? response.body
      : response.body instanceof Uint8Array
      ? new TextDecoder().decode(response.body)
      : ""
    return {
      status: response.status,
      headers: { "content-type": "application/json" },
      body: JSON.stringify(translated(response.status, text.trim()))
    }
  }
)
