/** What one pod refers to, followed for as long as the pod is kept: ConfigMaps and Secrets by name, Services, tokens. */
import { Clock, Effect, Exit, Scope } from "effect"
import { type ConfigMap, type Secret, TokenRequests } from "../kube/kinds.ts"
import { KubeApi } from "../kube/KubeApi.ts"
import type { Pod } from "../kube/Pod.ts"
import { references } from "../pod/resolve/references.ts"
import type { Sources, TokenAnswer, TokenNeed } from "../pod/resolve/Resolution.ts"
import { freshMillis } from "../pod/resolve/tokens.ts"
import { ReferencedObjects } from "./ReferencedObjects.ts"
import { ServiceIndex } from "./ServiceIndex.ts"

interface Token {
  readonly answer: TokenAnswer
  /** When it was asked for. */
  readonly asked: Moment
  /** Milliseconds after which it is asked for again. */
  readonly lasts: number
}

interface Moment {
  readonly wall: number
  readonly monotonic: number
}

const moment: Effect.Effect<Moment> = Effect.all({
  wall: Clock.currentTimeMillis,
  monotonic: Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1_000_000n))
})

/**
 * Milliseconds left of a token, from its lifetime as the API server gave it: our clock need not be right, and may be set. Time in which
 * the machine slept is the wall clock's alone.
 */
const leftOf = ({ asked, lasts }: Token, now: Moment): number =>
  lasts - Math.max(now.monotonic - asked.monotonic, now.wall - asked.wall)

/** How soon a token that was refused is asked for again. */
const tokenRetryMillis = 30_000

const needKey = (need: TokenNeed) => JSON.stringify([need.serviceAccount, need.audience, need.expirationSeconds])

export interface PodSources {
  /** Follows what this version of the pod refers to (and nothing else any more), and gives it. */
  readonly gather: (pod: Pod, options: { readonly tokens: boolean }) => Effect.Effect<Sources>
  /** Milliseconds until a token is due to be asked for again; undefined while there is none. */
  readonly tokensDue: Effect.Effect<number | undefined>
}

/** `changed` is called when something followed has changed. */
export const podSources = Effect.fnUntraced(function*(changed: () => void) {
  const api = yield* KubeApi
  const objects = yield* ReferencedObjects
  const services = yield* ServiceIndex
  const followed = new Map<
    string,
    { readonly scope: Scope.Closeable; readonly read: () => ConfigMap | Secret | undefined }
  >()
  const tokens = new Map<string, Token>()

  yield* Effect.addFinalizer((exit) =>
    Effect.forEach([...followed.values()], ({ scope }) => Scope.close(scope, exit), { discard: true })
  )

  const follow = Effect.fnUntraced(function*(kind: "ConfigMap" | "Secret", namespace: string, name: string) {
    const key = `${kind}/${name}`
    if (followed.has(key)) return
    const scope = yield* Scope.make()
    const read = yield* (kind === "ConfigMap"
      ? objects.follow("ConfigMap", namespace, name, changed)
      : objects.follow("Secret", namespace, name, changed)).pipe(Scope.provide(scope))
    followed.set(key, { scope, read })
  })

  const request = Effect.fnUntraced(function*(pod: Pod, need: TokenNeed) {
    const asked = yield* moment
    const refused = (failed: string): Token => ({ answer: { failed }, asked, lasts: tokenRetryMillis })
    const { name = "", namespace = "", uid = "" } = pod.metadata
    const token = yield* api.create(TokenRequests, {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      metadata: { name: need.serviceAccount, namespace },
      spec: {
        // An empty list means the API server's own audience; naming it is refused for node identities.
        audiences: need.audience === "" ? [] : [need.audience],
        expirationSeconds: need.expirationSeconds,
        boundObjectRef: { apiVersion: "v1", kind: "Pod", name, uid }
      }
    }, { subresource: "token" }).pipe(
      Effect.map(({ spec, status }): Token =>
        status === undefined
          ? refused("the answer holds no token")
          // The server may give it a shorter life than was asked for, and says so.
          : {
            answer: { token: status.token },
            asked,
            lasts: freshMillis((spec.expirationSeconds ?? need.expirationSeconds) * 1000)
          }
      ),
      Effect.catch((error) => Effect.succeed(refused(error.message)))
    )
    tokens.set(needKey(need), token)
  })

  const gather = Effect.fnUntraced(function*(pod: Pod, options: { readonly tokens: boolean }) {
    yield* services.synced
    const namespace = pod.metadata.namespace ?? ""
    const needed = references(pod)
    const keys = new Set([
      ...needed.configMaps.map((name) => `ConfigMap/${name}`),
      ...needed.secrets.map((name) => `Secret/${name}`)
    ])
    for (const [key, { scope }] of followed) {
      if (keys.has(key)) continue
      followed.delete(key)
      yield* Scope.close(scope, Exit.void)
    }
    yield* Effect.forEach(needed.configMaps, (name) => follow("ConfigMap", namespace, name), { concurrency: 8 })
    yield* Effect.forEach(needed.secrets, (name) => follow("Secret", namespace, name), { concurrency: 8 })

    const now = yield* moment
    const wanted = options.tokens ? needed.tokens : []
    const wantedKeys = new Set(wanted.map(needKey))
    for (const key of tokens.keys()) if (!wantedKeys.has(key)) tokens.delete(key)
    for (const need of wanted) {
      const token = tokens.get(needKey(need))
      if (token === undefined || leftOf(token, now) <= 0) yield* request(pod, need)
    }

    return {
      configMap: (name: string) => followed.get(`ConfigMap/${name}`)?.read() as ConfigMap | undefined,
      secret: (name: string) => followed.get(`Secret/${name}`)?.read() as Secret | undefined,
      token: (need: TokenNeed) => tokens.get(needKey(need))?.answer,
      services: services.visibleFrom(namespace)
    } satisfies Sources
  })

  return {
    gather,
    tokensDue: Effect.map(
      moment,
      (now) => tokens.size === 0 ? undefined : Math.min(...[...tokens.values()].map((token) => leftOf(token, now)))
    )
  } satisfies PodSources
})
