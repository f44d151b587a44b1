/** Which right on `nodes/NAME` a request to the kubelet API needs: the table of the kubelet, made stricter where it is known to be weak. */
import type { Route } from "./KubeletRequest.ts"

export interface RequiredAccess {
  readonly verb: string
  /** Tried in order; the first that is allowed lets the request through. */
  readonly subresources: ReadonlyArray<string>
}

const verbOf = (method: string): string => {
  switch (method) {
    case "GET":
    case "HEAD":
      return "get"
    case "POST":
      return "create"
    case "PUT":
      return "update"
    case "PATCH":
      return "patch"
    case "DELETE":
      return "delete"
    default:
      // No role names such a verb, only one that allows everything.
      return method.toLowerCase()
  }
}

const subresourcesOf = (path: string): ReadonlyArray<string> => {
  switch (path.split("/")[1]) {
    case "stats":
      return ["stats"]
    case "metrics":
      return ["metrics"]
    case "logs":
      return ["log"]
    case "checkpoint":
      return ["checkpoint"]
    case "statusz":
      return ["statusz"]
    case "flagz":
      return ["configz"]
    case "configz":
      return ["configz", "proxy"]
    case "pods":
    case "runningpods":
      return ["pods", "proxy"]
    case "healthz":
      return ["healthz", "proxy"]
    default:
      return ["proxy"]
  }
}

/**
 * Whoever may read must not run commands: a WebSocket starts with GET, so the verb of exec, attach, portForward and run is
 * `create` whatever the method. The fine-grained subresources are those of KEP-2862.
 */
export const requiredAccess = (method: string, { path, request }: Route): RequiredAccess => {
  switch (request._tag) {
    case "Exec":
    case "Attach":
    case "Run":
    case "PortForward":
      return { verb: "create", subresources: ["proxy"] }
    default:
      return { verb: EFFECTFUL.test(path) ? "create" : verbOf(method), subresources: subresourcesOf(path) }
  }
}

/** Misspelled forms of the same ask for the same. */
const EFFECTFUL = /^\/(exec|attach|portForward|run)(\/|$)/i
