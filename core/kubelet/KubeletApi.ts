/** The kubelet API of all virtual nodes as one program: who asks, for which node, whether they may, and what they get. */
import { Context, type Duration, Effect, Layer, Option, Result, type Scope, Semaphore } from "effect"
import { Authenticator, type Credentials } from "./Authenticator.ts"
import { Authorizer } from "./Authorizer.ts"
import type { AccessUndecided, Identity } from "./KubeletAccess.ts"
import { jsonAnswer, type KubeletAnswer, words } from "./KubeletAnswer.ts"
import { KubeletBackend, type ServedPod } from "./KubeletBackend.ts"
import { nodeOfForwardedUri, parsePath, type Query, type Route } from "./KubeletRequest.ts"
import { lastWords } from "./lastWords.ts"
import { parseLogOptions } from "./LogOptions.ts"
import { hasContainer, logRefusal } from "./logRefusal.ts"
import { nodeLogs } from "./nodeLogs.ts"
import { openBytes } from "./openBytes.ts"
import { parseProcessOptions } from "./processOptions.ts"
import { requiredAccess } from "./requiredAccess.ts"
import { commandToRun, runCommand } from "./runCommand.ts"
import { serveForward } from "./serveForward.ts"
import { serveProcess } from "./serveProcess.ts"

export const KubeletPatience = Context.Reference<{
  /** How long a log may take to open before its headers are sent without knowing whether it will. */
  readonly open: Duration.Input
  /** How long a node may take to tell about itself. */
  readonly ask: Duration.Input
}>("aranya/kubelet/KubeletPatience", { defaultValue: () => ({ open: "10 seconds", ask: "10 seconds" }) })

/** A request as the listener hands it over. */
export interface Asked {
  readonly method: string
  /** Still percent-encoded, without the query. */
  readonly path: string
  readonly query: Query
  readonly credentials: Credentials
  /** It asks to leave HTTP: then its other headers are whatever the client of the API server wrote. */
  readonly upgrade: boolean
  readonly forwardedUri: string | undefined
  /** The form in its body, read when it is asked for: that is after the caller is known and allowed. Absent where there is none. */
  readonly form?: Effect.Effect<Query, { readonly message: string }>
  /** Set where a listener belongs to one node alone: nothing of another is found there. */
  readonly listenerNode: string | undefined
}

export class KubeletApi extends Context.Service<KubeletApi, {
  /** The answer's bytes live as long as the scope. */
  readonly answer: (asked: Asked) => Effect.Effect<KubeletAnswer, never, Scope.Scope>
}>()("aranya/kubelet/KubeletApi") {
  static readonly layer = Layer.effect(
    KubeletApi,
    Effect.gen(function*() {
      const authenticator = yield* Authenticator
      const authorizer = yield* Authorizer
      const backend = yield* KubeletBackend
      const patience = yield* KubeletPatience
      const runs = yield* Semaphore.make(mostRuns)

      const containerLogs = Effect.fnUntraced(function*(
        request: Route["request"] & { readonly _tag: "ContainerLogs" },
        query: Query,
        served: ServedPod | undefined
      ) {
        const options = parseLogOptions(request.container, query)
        if (Result.isFailure(options)) {
          return words(options.failure.reason === "Invalid" ? 422 : 400, options.failure.message)
        }
        // A kubelet says 404 to both, of which `kubectl logs` would show no word.
        if (served === undefined) return words(400, `pod "${request.pod}" does not exist`)
        if (!hasContainer(served.pod, request.container)) {
          return words(400, `container "${request.container}" not found in pod "${request.pod}"`)
        }
        const refusal = logRefusal(served.pod, request.container, options.success.previous)
        if (refusal !== undefined) return words(400, refusal)
        const at = { node: served.node, uid: served.pod.metadata.uid ?? "" }
        return yield* openBytes(backend.logs(at, options.success), patience.open).pipe(Effect.match({
          onSuccess: (bytes): KubeletAnswer => ({ _tag: "Bytes", bytes: lastWords(bytes) }),
          // kubectl shows the words of 400 and 500, and hides those of 404 and 503.
          onFailure: (error) =>
            words(error._tag === "RuntimeError" || error.reason === "Failed" ? 500 : 400, error.message)
        }))
      })

      /** Checks what can be known without the device; the device has the last word, on the streams. */
      const process = (
        request: Route["request"] & { readonly _tag: "Exec" | "Attach" },
        query: Query,
        { node, pod }: ServedPod
      ): KubeletAnswer => {
        const { container } = request
        const parsed = parseProcessOptions(query)
        if (Result.isFailure(parsed)) return words(400, parsed.failure.message)
        const { command, ...options } = parsed.success
        if (request._tag === "Exec" && command.length === 0) return words(400, "a command to run must be given")
        if (!hasContainer(pod, container)) {
          return words(404, `container "${container}" not found in pod "${request.pod}"`)
        }
        const at = { node, uid: pod.metadata.uid ?? "" }
        return {
          _tag: "Process",
          options,
          serve: (client) =>
            request._tag === "Exec"
              ? serveProcess("exec", backend.exec(at, container, parsed.success), options, client)
              : serveProcess("attach", backend.attach(at, container, options), options, client)
        }
      }

      const run = Effect.fnUntraced(
        function*(
          request: Route["request"] & { readonly _tag: "Run" },
          { form = Effect.succeed([]), method, query }: Asked,
          { node, pod }: ServedPod
        ) {
          if (method !== "POST") return wrongMethod
          const { container } = request
          if (!hasContainer(pod, container)) {
            return words(404, `container "${container}" not found in pod "${request.pod}"`)
          }
          const at = { node, uid: pod.metadata.uid ?? "" }
          const command = commandToRun(yield* form, query)
          const answered = yield* runs.withPermitsIfAvailable(1)(
            runCommand(command, (spec) => backend.exec(at, container, spec))
          )
          return Option.getOrElse(
            answered,
            () => words(500, `${mostRuns} commands run already: ask again when one has ended, or use exec`)
          )
        },
        Effect.catch((error) => Effect.succeed(words(400, error.message)))
      )

      const portForward = (query: Query, { node, pod }: ServedPod): KubeletAnswer => {
        const asked = query.flatMap(([name, value]) => name === "port" ? value.split(",") : [])
        const ports = asked.map(Number)
        const wrong = asked.find((_, index) => !isPort(ports[index] ?? 0))
        if (wrong !== undefined) return words(400, `invalid port ${wrong}: 1 to 65535 is expected`)
        if (ports.length > mostPorts) return words(400, `${ports.length} ports: at most ${mostPorts} at once`)
        const uid = pod.metadata.uid ?? ""
        const who = `pod ${pod.metadata.name ?? ""}, uid ${uid}`
        return {
          _tag: "Forward",
          ports,
          serve: (client) => serveForward(who, (port) => backend.dial({ node, uid }, port), client)
        }
      }

      const offered = <A>(what: string, ask: Effect.Effect<A | undefined, { readonly message: string }>) =>
        ask.pipe(
          Effect.timeoutOption(patience.ask),
          Effect.map((found): A | KubeletAnswer =>
            Option.isNone(found)
              ? words(500, `the node did not tell its ${what} in time`)
              : found.value ?? words(404, `this version does not serve ${what}`)
          ),
          Effect.catch((error) => Effect.succeed(words(500, error.message)))
        )

      const podList = (items: ReadonlyArray<unknown>) =>
        jsonAnswer({ kind: "PodList", apiVersion: "v1", metadata: {}, items })

      const ofNode = Effect.fnUntraced(function*(request: Route["request"], { path, query }: Asked, node: string) {
        switch (request._tag) {
          case "NodeLogs":
            return yield* nodeLogs(backend.logFile(node, request.file), { path, query, patience: patience.ask })
          case "Pods":
            return podList(yield* backend.pods(node))
          case "RunningPods": {
            const pods = yield* offered("running pods", backend.runningPods(node))
            return "_tag" in pods ? pods : podList(pods)
          }
          case "Configz": {
            const found = yield* offered(
              "configuration",
              Effect.map(backend.configuration(node), (value) => value === undefined ? undefined : { value })
            )
            return "_tag" in found ? found : jsonAnswer({ kubeletconfig: found.value })
          }
          case "StatsSummary": {
            const onlyCpuAndMemory = query.some(([name, value]) => name === "only_cpu_and_memory" && value === "true")
            const found = yield* offered(
              "stats summary",
              Effect.map(
                backend.summary(node, { onlyCpuAndMemory }),
                (value) => value === undefined ? undefined : { value }
              )
            )
            return "_tag" in found ? found : jsonAnswer(found.value)
          }
          case "Metrics": {
            const name = request.family === "" ? "metrics" : `${request.family} metrics`
            const found = yield* offered(name, backend.metrics(node, request.family))
            return typeof found === "string"
              ? { ...words(200, found), contentType: "text/plain; version=0.0.4; charset=utf-8" }
              : found
          }
          default:
            return words(404, "404 page not found")
        }
      })

      const answer = Effect.fnUntraced(function*(
        asked: Asked,
        route: Route,
        node: string | undefined,
        served: ServedPod | undefined
      ) {
        const { request } = route
        const { method } = asked
        switch (request._tag) {
          case "Exec":
          case "Attach":
          case "PortForward":
          case "Run":
            if (served === undefined) return words(404, `pod "${request.pod}" does not exist`)
            if (request._tag === "Run") return yield* run(request, asked, served)
            if (!asked.upgrade) return words(400, "this is for clients that upgrade the connection, as kubectl does")
            return request._tag === "PortForward"
              ? portForward(asked.query, served)
              : process(request, asked.query, served)
          case "ContainerLogs":
            return method === "GET" ? yield* containerLogs(request, asked.query, served) : wrongMethod
          case "Healthz":
            return method === "GET" || method === "HEAD" ? words(200, "ok") : wrongMethod
          case "Checkpoint":
            return words(
              400,
              "containers on edge devices cannot be checkpointed: a device keeps no images of their memory"
            )
          case "Flagz":
          case "Statusz":
            return words(404, `${route.path} is not supported yet by this version`)
          case "Unknown":
            return words(404, "404 page not found")
          default:
            if (method !== "GET" && !(method === "POST" && request._tag === "StatsSummary")) return wrongMethod
            if (node === undefined) {
              return words(404, `which node? This address serves many: ask for /metrics/nodes/NAME${route.path}`)
            }
            return (yield* backend.serves(node))
              ? yield* ofNode(request, asked, node)
              : words(404, `node "${node}" is not served here`)
        }
      })

      /** The node that is meant, and the pod; they must agree, for the right on one node is none on another. */
      const locate = Effect.fnUntraced(function*(asked: Asked, identity: Identity, route: Route) {
        const forwarded = identity.by === "certificate" && !asked.upgrade && asked.forwardedUri !== undefined
          ? nodeOfForwardedUri(asked.forwardedUri, asked.path)
          : undefined
        const named = [asked.listenerNode, route.node, forwarded].filter((name) => name !== undefined)
        if (!("pod" in route.request)) {
          return named.every((name) => name === named[0])
            ? { node: named[0], served: undefined }
            : { node: undefined, served: undefined }
        }
        const served = yield* backend.pod(route.request.namespace, route.request.pod)
        const uid = "uid" in route.request ? route.request.uid : undefined
        const isMeant = served !== undefined && named.every((name) => name === served.node) &&
          (uid === undefined || uid === served.pod.metadata.uid)
        return isMeant ? { node: served.node, served } : { node: named[0], served: undefined }
      })

      const decide = Effect.fnUntraced(function*(asked: Asked) {
        const identity = yield* authenticator.authenticate(asked.credentials)
        if (identity === undefined) return words(401, "Unauthorized")
        const route = parsePath(asked.path)
        const access = requiredAccess(asked.method, route)
        const { node, served } = yield* locate(asked, identity, route)
        if (!(yield* authorizer.allows(identity, access, node))) {
          return words(
            403,
            `Forbidden (user=${identity.user}, verb=${access.verb}, resource=nodes, ` +
              `subresource(s)=[${access.subresources.join(" ")}])`
          )
        }
        return yield* answer(asked, route, node, served)
      })

      return KubeletApi.of({
        answer: (asked) =>
          decide(asked).pipe(
            Effect.catchTag("AccessUndecided", (error: AccessUndecided) => Effect.succeed(words(500, error.message)))
          )
      })
    })
  )
}

const wrongMethod = words(405, "Method Not Allowed")

/** Their output is kept in memory until they end. */
const mostRuns = 16

/** A WebSocket has 256 channels, two a port. */
const mostPorts = 100
const isPort = (port: number) => Number.isInteger(port) && port >= 1 && port <= 65_535
