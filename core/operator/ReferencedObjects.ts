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
  readonly synced: Deferred.Deferred<void>
  readonly listeners: Set<() => void>
}

export class ReferencedObjects extends Context.Service<ReferencedObjects, {
  /**
   * Watches the object while the scope lives and returns a way to read it; `changed` is called at each change. Waits for the
   * first answer of the API server.
   */
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
          const entry: Watched = { current: undefined, synced: yield* Deferred.make<void>(), listeners: new Set() }
          const tell = () => entry.listeners.forEach((listener) => listener())
          const selection = { namespace, fieldSelector: `metadata.name=${name}` }
          const follow = kind === "ConfigMap"
            ? Stream.map(api.observe(ConfigMaps, selection), (observation) => observation)
            : Stream.map(api.observe(Secrets, selection), (observation) => observation)
          yield* follow.pipe(
            Stream.runForEach((observation) =>
              Effect.suspend(() => {
                if (observation._tag === "Synced") return Deferred.succeed(entry.synced, undefined)
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

      const follow = Effect.fnUntraced(function*(kind: Kind, namespace: string, name: string, changed: () => void) {
        const entry = yield* RcMap.get(watched, `${kind}/${namespace}/${name}`)
        yield* Effect.acquireRelease(
          Effect.sync(() => entry.listeners.add(changed)),
          () => Effect.sync(() => entry.listeners.delete(changed))
        )
        yield* Deferred.await(entry.synced)
        return () => entry.current
      })

      return ReferencedObjects.of({ follow: follow as ReferencedObjects["Service"]["follow"] })
    })
  )
}
