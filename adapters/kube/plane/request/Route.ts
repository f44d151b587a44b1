/** What an API path means: which resource, which object, which subresource, and which verb it is for authorisation. */
import type { ApiRequest } from "./ApiRequest.ts"

export interface ResourceRoute {
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly namespace: string
  readonly name: string
  readonly subresource: string
  /** What follows the subresource, for proxies; starts with a slash or is empty. */
  readonly rest: string
}

const decode = (part: string): string | undefined => {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}

/** Undefined for paths that name no resource, such as discovery and health. */
export const parseRoute = (path: string): ResourceRoute | undefined => {
  const raw = path.split("/").slice(1)
  const parts: Array<string> = []
  for (const part of raw) {
    const decoded = decode(part)
    if (decoded === undefined) return undefined
    parts.push(decoded)
  }
  const core = parts[0] === "api"
  if (!core && parts[0] !== "apis") return undefined
  const group = core ? "" : parts[1] ?? ""
  const version = parts[core ? 1 : 2] ?? ""
  const start = core ? 2 : 3
  const tail = parts.slice(start)
  const rawTail = raw.slice(start)
  if (version === "" || tail[0] === undefined || tail[0] === "") return undefined
  const inNamespace = tail[0] === "namespaces" && tail.length > 2 &&
    !(core && ["status", "finalize"].includes(tail[2] ?? ""))
  const namespace = inNamespace ? tail[1] ?? "" : ""
  const [plural = "", name = "", subresource = ""] = tail.slice(inNamespace ? 2 : 0)
  const rest = rawTail.slice(inNamespace ? 5 : 3)
  return { group, version, plural, namespace, name, subresource, rest: rest.length === 0 ? "" : `/${rest.join("/")}` }
}

const truthy = (value: string | null) => value === "true" || value === "1"

export const isWatch = ({ method, query }: ApiRequest): boolean => method === "GET" && truthy(query.get("watch"))

/** Streams into a container need `create` whatever the HTTP method (AuthorizePodWebsocketUpgradeCreatePermission). */
const alwaysCreate = ["exec", "attach", "portforward"]

export const verbOf = (request: ApiRequest, route: ResourceRoute): string => {
  if (route.plural === "pods" && alwaysCreate.includes(route.subresource)) return "create"
  switch (request.method) {
    case "POST":
      return "create"
    case "PUT":
      return "update"
    case "PATCH":
      return "patch"
    case "DELETE":
      return route.name === "" ? "deletecollection" : "delete"
    default:
      return isWatch(request) ? "watch" : route.name === "" ? "list" : "get"
  }
}
