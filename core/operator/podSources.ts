/** What one pod refers to, followed for as long as the pod is kept: ConfigMaps and Secrets by name, Services, tokens. */
import { Clock, Effect, Exit, Fiber, Scope } from "effect"
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
  /** Until it is asked for again. */
  readonly fresh: Span
  /** Until nobody takes it any more; over at once for one that was refused. */
  readonly valid: Span
}

interface Span {
  readonly since: Moment
  readonly millis: number
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
 * Milliseconds left, of a token from its lifetime as the API server gave it: our clock need not be right, and may be set. Time in which
 * the machine slept is the wall clock's alone.
 */
const leftOf = ({ millis, since }: Span, now: Moment): number =>
  millis - Math.max(now.monotonic - since.monotonic, now.wall - since.wall)

/** How soon a token that was refused is asked for again. */
const tokenRetryMillis = 30_000

/** An API server that has not told of something for so long is not merely slow: somebody should hear of it. */
const slowMillis = 10_000

const needKey = (need: TokenNeed) => JSON.stringify([need.serviceAccount, need.audience, need.expirationSeconds])

export interface PodSources {
  /**
   * Follows what this version of the pod refers to (and nothing else any more), and gives it; undefined where the API server is
   * about to tell of it, which is a change. It never waits for that: what keeps the pod has more to do than to begin it.
   */
  readonly gather: (pod: Pod, options: { readonly tokens: boolean }) => Effect.Effect<Sources | undefined>
  /** Milliseconds until it is due to be gathered again, although nothing has changed; undefined while it is not. */
  readonly due: Effect.Effect<number | undefined>
}

/** `changed` is called when something followed has changed. */
export const podSources = Effect.fnUntraced(function*(changed: () => void) {
  const api = yield* KubeApi
  const objects = yield* ReferencedObjects
  const services = yield* ServiceIndex
  const followed = new Map<
    string,
    {
      /** As people call it. */
      readonly title: string
      readonly scope: Scope.Closeable
      readonly known: () => boolean
      readonly read: () => ConfigMap | Secret | undefined
    }
  >()
  const tokens = new Map<string, Token>()
  const life = yield* Effect.scope

  const follow = Effect.fnUntraced(function*(kind: "ConfigMap" | "Secret", namespace: string, name: string) {
    const key = `${kind}/${name}`
    if (followed.has(key)) return
    // Ends with the keeper of the pod, wherever that is interrupted.
    const scope = yield* Scope.fork(life)
    const watch = yield* Scope.provide(objects.watch(kind, namespace, name, changed), scope)
    followed.set(key, { title: `${kind.toLowerCase()} "${name}"`, scope, ...watch })
  })

  let servicesKnown = false
  let awaited: Fiber.Fiber<void> | undefined
  /** A kubelet begins no pod before it has heard of Services; so do we. */
  const awaitServices = Effect.gen(function*() {
    awaited ??= yield* services.synced.pipe(
      Effect.andThen(Effect.sync(() => {
        servicesKnown = true
        // What is known at once is no change.
        if (awaited !== undefined) changed()
      })),
      Effect.forkIn(life, { startImmediately: true })
    )
  })

  /** Since when something is not known; undefined while all is. */
  let unknownSince: Moment | undefined

  const request = Effect.fnUntraced(function*(pod: Pod, need: TokenNeed) {
    const since = yield* moment
    const before = tokens.get(needKey(need))
    /** What is still good is kept: all else that changes of the pod goes on with it. */
    const refused = (failed: string): Effect.Effect<Token> => {
      const fresh = { since, millis: tokenRetryMillis }
      return before !== undefined && leftOf(before.valid, since) > 0
        ? Effect.as(Effect.logWarning(`the token of pod ${namespace}/${name} is not renewed: ${failed}`), {
          ...before,
          fresh
        })
        : Effect.succeed({ answer: { failed }, fresh, valid: { since, millis: 0 } })
    }
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
      Effect.flatMap(({ spec, status }) => {
        if (status === undefined) return refused("the answer holds no token")
        // The server may give it a shorter life than was asked for, and says so.
        const millis = (spec.expirationSeconds ?? need.expirationSeconds) * 1000
        return Effect.succeed<Token>({
          answer: { token: status.token },
          fresh: { since, millis: freshMillis(millis) },
          valid: { since, millis }
        })
      }),
      Effect.catch((error) => refused(error.message))
    )
    tokens.set(needKey(need), token)
  })

  const gather = Effect.fnUntraced(function*(pod: Pod, options: { readonly tokens: boolean }) {
    yield* awaitServices
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
    const unknown = [
      ...servicesKnown ? [] : ["services"],
      ...[...followed.values()].filter(({ known }) => !known()).map(({ title }) => title)
    ]
    if (unknown.length === 0) unknownSince = undefined
    else {
      unknownSince ??= now
      if (now.monotonic - unknownSince.monotonic < slowMillis) return undefined
    }

    const wanted = options.tokens ? needed.tokens : []
    const wantedKeys = new Set(wanted.map(needKey))
    for (const key of tokens.keys()) if (!wantedKeys.has(key)) tokens.delete(key)
    for (const need of wanted) {
      const token = tokens.get(needKey(need))
      if (token === undefined || leftOf(token.fresh, now) <= 0) yield* request(pod, need)
    }

    return {
      unknown,
      configMap: (name: string) => followed.get(`ConfigMap/${name}`)?.read() as ConfigMap | undefined,
      secret: (name: string) => followed.get(`Secret/${name}`)?.read() as Secret | undefined,
      token: (need: TokenNeed) => tokens.get(needKey(need))?.answer,
      services: services.visibleFrom(namespace)
    } satisfies Sources
  })

  return {
    gather,
    due: Effect.map(moment, (now) => {
      const slow = unknownSince === undefined ? 0 : slowMillis - (now.monotonic - unknownSince.monotonic)
      const times = [...slow > 0 ? [slow] : [], ...[...tokens.values()].map(({ fresh }) => leftOf(fresh, now))]
      return times.length === 0 ? undefined : Math.min(...times)
    })
  } satisfies PodSources
})
