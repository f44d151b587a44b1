/**
 * ConfigMaps and Secrets that pods refer to, each watched by name for as long as somebody needs it and shared by all who do:
 * aranya never lists what no pod on a device asked for.
 */
import { Context, Deferred, Duration, Effect, Layer, RcMap, type Scope, Stream } from "effect"
import { type ConfigMap, ConfigMaps, type Secret, Secrets } from "../kube/kinds.ts"
import { KubeApi } from "../kube/KubeApi.ts"

type Kind = "ConfigMap" | "Secret"

interface Watched {
  /** The object now; undefined where there is none. */
  current: ConfigMap | Secret | undefined
  /** Whether the API server has answered at all. */
  known: boolean
  readonly synced: Deferred.Deferred<void>
  readonly listeners: Set<() => void>
}

export class ReferencedObjects extends Context.Service<ReferencedObjects, {
  /**
   * Watches the object while the scope lives; `changed` is called at each change, the first of which is that the API server has
   * answered. It may never do so: what this process may not list, or what a broken line hides, is never known.
   */
  readonly watch: (kind: Kind, namespace: string, name: string, changed: () => void) => Effect.Effect<
    { readonly known: () => boolean; readonly read: () => ConfigMap | Secret | undefined },
    never,
    Scope.Scope
  >
  /** The same, and waits for the first answer of the API server: for those whom nobody waits for. */
  readonly follow: {
    (kind: "ConfigMap", namespace: string, name: string, changed: () => void): Effect.Effect<
      () => ConfigMap | undefined,
      never,
      Scope.Scope
    >
    (kind: "Secret", namespace: string, name: string, changed: () => void): Effect.Effect<
      () => Secret | undefined,
      never,
      Scope.Scope
    >
  }
}>()("aranya/operator/ReferencedObjects") {
  static readonly layer = Layer.effect(
    ReferencedObjects,
    Effect.gen(function*() {
      const api = yield* KubeApi

      const watched = yield* RcMap.make({
        // Pods are often replaced by their like: keep the watch a moment.
        idleTimeToLive: Duration.seconds(30),
        lookup: Effect.fnUntraced(function*(key: string) {
          const [kind, namespace, name] = key.split("/") as [Kind, string, string]
          const entry: Watched = {
            current: undefined,
            known: false,
            synced: yield* Deferred.make<void>(),
            listeners: new Set()
          }
          const tell = () => entry.listeners.forEach((listener) => listener())
          const selection = { namespace, fieldSelector: `metadata.name=${name}` }
          const follow = kind === "ConfigMap"
            ? Stream.map(api.observe(ConfigMaps, selection), (observation) => observation)
            : Stream.map(api.observe(Secrets, selection), (observation) => observation)
          yield* follow.pipe(
            Stream.runForEach((observation) =>
              Effect.suspend(() => {
                if (observation._tag === "Synced") {
                  if (entry.known) return Effect.void
                  entry.known = true
                  tell()
                  return Deferred.succeed(entry.synced, undefined)
                }
                entry.current = observation._tag === "Set" ? observation.object : undefined
                tell()
                return Effect.void
              })
            ),
            Effect.forkScoped
          )
          return entry
        })
      })

      const listen = Effect.fnUntraced(function*(kind: Kind, namespace: string, name: string, changed: () => void) {
        const entry = yield* RcMap.get(watched, `${kind}/${namespace}/${name}`)
        yield* Effect.acquireRelease(
          Effect.sync(() => entry.listeners.add(changed)),
          () => Effect.sync(() => entry.listeners.delete(changed))
        )
        return entry
      })
      const watch: ReferencedObjects["Service"]["watch"] = (...what) =>
        Effect.map(listen(...what), (entry) => ({ known: () => entry.known, read: () => entry.current }))
      const follow = (...what: Parameters<typeof listen>) =>
        Effect.tap(listen(...what), ({ synced }) => Deferred.await(synced)).pipe(
          Effect.map((entry) => () => entry.current)
        )

      return ReferencedObjects.of({ watch, follow: follow as ReferencedObjects["Service"]["follow"] })
    })
  )
}
