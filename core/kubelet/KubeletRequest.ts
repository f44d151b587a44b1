/** What a request to the kubelet API asks for: its path read once, into a tagged form. */

/** A query, in order; names may repeat. */
export type Query = ReadonlyArray<readonly [name: string, value: string]>

interface InPod {
  readonly namespace: string
  readonly pod: string
}

interface InContainer extends InPod {
  readonly container: string
  /** The caller may insist on one life of the pod. */
  readonly uid: string | undefined
}

export type KubeletRequest =
  | { readonly _tag: "ContainerLogs" } & InPod & { readonly container: string }
  | { readonly _tag: "Exec" } & InContainer
  | { readonly _tag: "Attach" } & InContainer
  | { readonly _tag: "Run" } & InContainer
  | { readonly _tag: "PortForward" } & InPod & { readonly uid: string | undefined }
  | { readonly _tag: "Pods" }
  | { readonly _tag: "RunningPods" }
  | { readonly _tag: "Healthz"; readonly check: "" | "ping" | "log" | "syncloop" }
  | { readonly _tag: "StatsSummary" }
  | { readonly _tag: "Metrics"; readonly family: "" | "cadvisor" | "probes" | "slis" | "resource" }
  | { readonly _tag: "Configz" }
  | { readonly _tag: "Flagz" }
  | { readonly _tag: "Statusz" }
  /** Below the folder of logs of the host; empty for the folder itself. */
  | { readonly _tag: "NodeLogs"; readonly file: string }
  | { readonly _tag: "Checkpoint" } & InContainer
  | { readonly _tag: "Unknown" }

/** `/metrics/nodes/NAME/...` names the node in front of any node-level path: what `metrics.k8s.io/resource-metrics-path` points to. */
const NODE_PREFIX = ["metrics", "nodes"] as const

const segmentsOf = (path: string): ReadonlyArray<string> | undefined => {
  const segments: Array<string> = []
  for (const part of path.replace(/^\/+|\/+$/g, "").split("/")) {
    try {
      segments.push(decodeURIComponent(part))
    } catch {
      return undefined
    }
  }
  // A slash or a dot segment inside a name is nobody's pod, and somebody's attempt.
  return segments.some((part) => part.includes("/") || part === "." || part === "..") ? undefined : segments
}

const unknown: KubeletRequest = { _tag: "Unknown" }

const METRICS = new Set(["cadvisor", "probes", "slis", "resource"])
const CHECKS = new Set(["ping", "log", "syncloop"])

const inContainer = (tag: "Exec" | "Attach" | "Run" | "Checkpoint", rest: ReadonlyArray<string>): KubeletRequest => {
  const [namespace, pod, third, fourth] = rest
  if (namespace === undefined || pod === undefined || third === undefined || rest.length > 4) return unknown
  return fourth === undefined
    ? { _tag: tag, namespace, pod, uid: undefined, container: third }
    : { _tag: tag, namespace, pod, uid: third, container: fourth }
}

const read = (segments: ReadonlyArray<string>): KubeletRequest => {
  const [first, ...rest] = segments
  if (segments.some((part) => part === "")) return unknown
  switch (first) {
    case "containerLogs": {
      const [namespace, pod, container] = rest
      return namespace === undefined || pod === undefined || container === undefined || rest.length > 3
        ? unknown
        : { _tag: "ContainerLogs", namespace, pod, container }
    }
    case "exec":
      return inContainer("Exec", rest)
    case "attach":
      return inContainer("Attach", rest)
    case "run":
      return inContainer("Run", rest)
    case "portForward": {
      const [namespace, pod, uid] = rest
      return namespace === undefined || pod === undefined || rest.length > 3
        ? unknown
        : { _tag: "PortForward", namespace, pod, uid }
    }
    case "metrics": {
      const [family = ""] = rest
      return rest.length > 1 || (family !== "" && !METRICS.has(family))
        ? unknown
        : { _tag: "Metrics", family: family as "" }
    }
    case "healthz": {
      const [check = ""] = rest
      return rest.length > 1 || (check !== "" && !CHECKS.has(check)) ? unknown : { _tag: "Healthz", check: check as "" }
    }
    case "stats":
      return rest.length === 1 && rest[0] === "summary" ? { _tag: "StatsSummary" } : unknown
    case "logs":
      return { _tag: "NodeLogs", file: rest.join("/") }
    case "checkpoint":
      return inContainer("Checkpoint", rest)
    default:
      return rest.length > 0 ? unknown : alone(first)
  }
}

const alone = (name: string | undefined): KubeletRequest => {
  switch (name) {
    case "pods":
      return { _tag: "Pods" }
    case "runningpods":
      return { _tag: "RunningPods" }
    case "configz":
      return { _tag: "Configz" }
    case "flagz":
      return { _tag: "Flagz" }
    case "statusz":
      return { _tag: "Statusz" }
    default:
      return unknown
  }
}

export interface Route {
  readonly request: KubeletRequest
  /** The node that the path names, if it names one. */
  readonly node: string | undefined
  /** The path as the node itself would have been asked: what the right to ask depends on. */
  readonly path: string
}

export const parsePath = (path: string): Route => {
  const segments = segmentsOf(path)
  if (segments === undefined) return { request: unknown, node: undefined, path }
  const [first, second, node, ...rest] = segments
  if (first !== NODE_PREFIX[0] || second !== NODE_PREFIX[1] || node === undefined || node === "") {
    return { request: read(segments), node: undefined, path: `/${segments.join("/")}` }
  }
  const request = rest.length === 0 ? unknown : read(rest)
  // A pod's path says by itself where it belongs; a node in front of it could only contradict.
  return {
    request: "pod" in request ? unknown : request,
    node,
    path: `/${rest.join("/")}`
  }
}

/**
 * The node of `/api/v1/nodes/NAME/proxy/...`, which is what the API server's node proxy writes into `X-Forwarded-Uri`.
 * NAME may be `scheme:name:port`. Undefined where the rest is not the path that was really asked for.
 */
export const nodeOfForwardedUri = (uri: string, path: string): string | undefined => {
  const plain = uri.replace(/^https?:\/\/[^/]*/i, "").split("?")[0] ?? ""
  const match = /^\/api\/v1\/nodes\/([^/]+)\/proxy(\/.*)?$/.exec(plain)
  if (match === null) return undefined
  const forwarded = segmentsOf(match[2] ?? "/")
  const asked = segmentsOf(path)
  if (forwarded === undefined || asked === undefined || forwarded.join("/") !== asked.join("/")) return undefined
  let parts: ReadonlyArray<string>
  try {
    parts = decodeURIComponent(match[1] ?? "").split(":")
  } catch {
    return undefined
  }
  const name = parts.length === 3 ? parts[1] : parts[0]
  return name === "" || parts.length > 3 ? undefined : name
}
