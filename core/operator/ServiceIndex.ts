/** One shared watch of Services, by namespace: pods get their addresses as environment variables. */
import { Context, Deferred, Effect, Layer, Stream } from "effect"
import { type Service, Services } from "../kube/kinds.ts"
import { KubeApi } from "../kube/KubeApi.ts"

export class ServiceIndex extends Context.Service<ServiceIndex, {
  /** A kubelet refuses to start pods before services have been listed once; so do we. */
  readonly synced: Effect.Effect<void>
  /** Those of the namespace, and `default/kubernetes`. */
  readonly visibleFrom: (namespace: string) => ReadonlyArray<Service>
}>()("aranya/operator/ServiceIndex") {
  static readonly layer = Layer.effect(
    ServiceIndex,
    Effect.gen(function*() {
      const api = yield* KubeApi
      const synced = yield* Deferred.make<void>()
      const namespaces = new Map<string, Map<string, Service>>()

      yield* api.observe(Services).pipe(
        Stream.runForEach((observation) => {
          if (observation._tag === "Synced") return Deferred.succeed(synced, undefined)
          const { name = "", namespace = "" } = observation.object.metadata
          const services = namespaces.get(namespace) ?? new Map<string, Service>()
          namespaces.set(namespace, services)
          if (observation._tag === "Set") services.set(name, observation.object)
          else services.delete(name)
          return Effect.void
        }),
        Effect.forkScoped
      )

      return ServiceIndex.of({
        synced: Deferred.await(synced),
        visibleFrom: (namespace) => {
          const own = [...(namespaces.get(namespace)?.values() ?? [])]
          const kubernetes = namespaces.get("default")?.get("kubernetes")
          return namespace === "default" || kubernetes === undefined ? own : [...own, kubernetes]
        }
      })
    })
  )
}
