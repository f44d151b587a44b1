/** KubeApi for the cluster that a kubeconfig, or the pod's own ServiceAccount, names: pooled TLS connections, an identity that renews itself. */
import { NodeHttpClient } from "@effect/platform-node"
import { KubeConfig } from "@kubernetes/client-node/dist/config.js"
import { Clock, Duration, Effect, FiberHandle, Layer, Schema } from "effect"
import { HttpClient } from "effect/http"
import { readFile } from "node:fs/promises"
import type { RequestOptions } from "node:https"
import type { KubeApi } from "../../../core/kube/KubeApi.ts"
import { CertifiedConnections, type TlsMaterial } from "./CertifiedConnections.ts"
import { endPluginWith } from "./endPluginWith.ts"
import * as KubeClient from "./KubeClient.ts"
import { KubeClientConfig } from "./KubeClientConfig.ts"
import { kubeconfigFiles, mergedKubeconfig } from "./kubeconfigFiles.ts"
import { tokenFileOf } from "./tokenFileOf.ts"

/** Tokens of ServiceAccounts are rotated on disk; client certificates too. */
const IDENTITY_LIFETIME = Duration.minutes(1)

/** Longest that a credential plugin may think: a request that waits for it has time left to be sent as before. */
const IDENTITY_TIMEOUT = Duration.seconds(20)

/** A kubeconfig that cannot be used as it is; the message says what to change. */
export class KubeConfigInvalid extends Schema.TaggedError<KubeConfigInvalid>()("KubeConfigInvalid", {
  detail: Schema.String
}) {
  override get message() {
    return `the Kubernetes configuration cannot be used: ${this.detail}`
  }
}

export interface KubeConfigOptions {
  /** Default: the files of `KUBECONFIG`, then `~/.kube/config`, then the pod's ServiceAccount. */
  readonly kubeconfigPath?: string | undefined
  /** Default: the current context of the file. */
  readonly context?: string | undefined
  /** Only the pod's own ServiceAccount. */
  readonly inCluster?: boolean | undefined
}

interface Credentials {
  readonly headers: Readonly<Record<string, string>>
  readonly tls: TlsMaterial
}

const words = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause))

const usable = <A>(read: () => A) =>
  Effect.try({ try: read, catch: (cause) => new KubeConfigInvalid({ detail: words(cause) }) })

const load = (options: KubeConfigOptions, files: ReadonlyArray<string>) =>
  usable(() => {
    const config = mergedKubeconfig(files)
    if (options.inCluster === true) config.loadFromCluster()
    else if (files.length === 0) config.loadFromDefault()
    return config
  }).pipe(Effect.flatMap((config) =>
    Effect.gen(function*() {
      if (config.getCurrentCluster()?.server.includes("undefined") === true) {
        return yield* new KubeConfigInvalid({ detail: "this is not a pod: KUBERNETES_SERVICE_HOST is not set" })
      }
      if (config.getCurrentContext() === "loaded-context") {
        return yield* new KubeConfigInvalid({
          detail: "there is none: no KUBECONFIG, no ~/.kube/config, and this is not a pod"
        })
      }
      if (options.context !== undefined) {
        if (config.getContextObject(options.context) === null) {
          return yield* new KubeConfigInvalid({ detail: `it has no context ${options.context}` })
        }
        config.setCurrentContext(options.context)
      }
      return config
    })
  ))

/** Refuses what would send credentials in the clear or to a stranger. */
const check = Effect.fnUntraced(function*(config: KubeConfig) {
  const cluster = config.getCurrentCluster()
  if (cluster === null) {
    return yield* new KubeConfigInvalid({ detail: `its context ${config.getCurrentContext()} names no cluster` })
  }
  if (!URL.canParse(cluster.server)) {
    return yield* new KubeConfigInvalid({ detail: `the server of cluster ${cluster.name} is no URL` })
  }
  const url = new URL(cluster.server)
  const refused = cluster.skipTLSVerify === true && url.protocol === "https:"
    ? `cluster ${cluster.name} says insecure-skip-tls-verify: name its certificate-authority instead`
    : cluster.proxyUrl !== undefined && cluster.proxyUrl !== ""
    ? `cluster ${cluster.name} has a proxy-url, which is not supported`
    : url.protocol === "http:" && !["localhost", "127.0.0.1", "[::1]"].includes(url.hostname)
    ? `the server of cluster ${cluster.name} is plain http: only this machine itself may be spoken to so`
    : url.protocol !== "http:" && url.protocol !== "https:"
    ? `the server of cluster ${cluster.name} is neither http nor https`
    : undefined
  if (refused !== undefined) return yield* new KubeConfigInvalid({ detail: refused })
  return { server: cluster.server.replace(/\/+$/, ""), secure: url.protocol === "https:" }
})

/** Without what client-node remembers of a credential plugin: for ever, if the plugin names no end. */
const forgetful = (config: KubeConfig): KubeConfig => {
  const anew = new KubeConfig()
  anew.loadFromOptions(config)
  return anew
}

/** Reads files, and runs the credential plugin of the kubeconfig if there is one. */
const readCredentials = async (
  config: KubeConfig,
  secure: boolean,
  userTokenFile: string | undefined,
  signal: AbortSignal
): Promise<Credentials> => {
  endPluginWith(config, signal)
  const user = config.getCurrentUser()
  const options: RequestOptions = {}
  if (secure) await config.applyToHTTPSOptions(options)
  const { ca, cert, key, servername } = options as RequestOptions & TlsMaterial
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries((options.headers ?? {}) as Record<string, unknown>)) {
    if (typeof value === "string") headers[name.toLowerCase()] = value
  }
  if (typeof options.auth === "string") headers["authorization"] = `Basic ${btoa(options.auth)}`
  if (!secure && user?.token !== undefined) headers["authorization"] = `Bearer ${user.token}`
  // The library keeps a token file for a minute of its own, which would add up with ours.
  const tokenFile: unknown = userTokenFile ?? user?.authProvider?.config?.tokenFile
  if (typeof tokenFile === "string") {
    const token = (await readFile(tokenFile, "utf8")).trim()
    // To the API server an empty token is none at all: it would answer to an anonymous caller, and never with a 401.
    if (token === "") throw new Error(`the token file ${tokenFile} is empty`)
    headers["authorization"] = `Bearer ${token}`
  }
  return {
    headers,
    tls: {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(servername === undefined ? {} : { servername })
    }
  }
}

const make = Effect.fnUntraced(function*(options: KubeConfigOptions) {
  const files = yield* usable(() => options.inCluster === true ? [] : kubeconfigFiles(options.kubeconfigPath))
  let config = yield* load(options, files)
  const { secure, server } = yield* check(config)
  const userTokenFile = yield* usable(() => tokenFileOf(config, files))

  const read = Effect.tryPromise({
    try: (signal) => readCredentials(config, secure, userTokenFile, signal),
    catch: words
  }).pipe(Effect.timeoutOrElse({
    duration: IDENTITY_TIMEOUT,
    orElse: () => Effect.fail("the credential plugin does not answer")
  }))

  let current = yield* Effect.mapError(
    read,
    (why) => new KubeConfigInvalid({ detail: `there are no credentials: ${why}` })
  )
  const connections = yield* Effect.acquireRelease(
    Effect.sync(() => new CertifiedConnections(new URL(server).origin, current.tls)),
    (all) => Effect.promise(() => all.destroy())
  )
  let readAt: bigint | undefined = yield* Clock.monotonicTimeNanos

  const take = (found: Credentials) => {
    current = found
    // Two files are not written at one moment: the next reading may find them together.
    return Effect.try({ try: () => connections.show(found.tls), catch: words }).pipe(
      Effect.catch((why) =>
        Effect.logWarning(`the Kubernetes client keeps the certificate it has: the new one cannot be used: ${why}`)
      )
    )
  }

  /** Whether the credentials still are good, the server says: a file that is not there at this moment does not. */
  const renew = read.pipe(
    Effect.flatMap(take),
    Effect.catch((why) =>
      Effect.logWarning(`the Kubernetes client keeps the credentials it has: there are no new ones: ${why}`)
    ),
    Effect.andThen(Clock.monotonicTimeNanos),
    Effect.map((now) => {
      readAt = now
    })
  )
  /** A request that gives up waiting leaves it running: the next one waits for the same plugin. */
  const renewal = yield* FiberHandle.make<void, never>()

  const fresh = Effect.gen(function*() {
    const now = yield* Clock.monotonicTimeNanos
    if (readAt === undefined || Duration.isGreaterThanOrEqualTo(Duration.nanos(now - readAt), IDENTITY_LIFETIME)) {
      yield* FiberHandle.run(renewal, renew, { onlyIfMissing: true })
      yield* FiberHandle.awaitEmpty(renewal)
    }
    return current
  })

  const http = yield* Effect.provideService(NodeHttpClient.makeUndici, NodeHttpClient.Dispatcher, connections)
  return KubeClient.layer.pipe(
    Layer.provide(Layer.succeed(HttpClient.HttpClient, http)),
    Layer.provide(Layer.succeed(
      KubeClientConfig,
      KubeClientConfig.of({
        server,
        identity: Effect.map(fresh, ({ headers }) => headers),
        identityRefused: (refused) =>
          Effect.sync(() => {
            // Of many requests that went out as the same, one has the plugin run, and none that is told of it late.
            if (refused !== current.headers || readAt === undefined) return
            readAt = undefined
            config = forgetful(config)
          })
      })
    ))
  )
})

/**
 * Each call is a client of its own, with its own connections: layers that Effect memoises by reference would let a second
 * cluster answer from the first one's pool.
 */
export const layerKubeConfig = (options: KubeConfigOptions = {}): Layer.Layer<KubeApi, KubeConfigInvalid> =>
  Layer.fresh(Layer.unwrap(make(options)))
