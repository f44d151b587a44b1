/** A Service in front of a ReplicaSet: once all is well it leads to each of its pods that is ready, and nowhere else. */
import type { Context } from "effect"
import type { ControlPlane } from "../../adapters/kube/plane/ControlPlane.ts"
import type { Service } from "../../core/kube/kinds.ts"
import type { Pod } from "../../core/kube/Pod.ts"
import type { Count } from "./coverage.ts"
import type { Known } from "./known.ts"

export const serviceRule = "a Service leads to the pods that are ready"

export const serviceOf = (name: string): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { namespace: "edge", name },
  spec: { selector: { set: name }, ports: [{ port: 80 }] }
})

interface Slice {
  readonly endpoints?: ReadonlyArray<{
    readonly addresses: ReadonlyArray<string>
    readonly conditions: { readonly ready: boolean }
    readonly targetRef: { readonly uid: string }
  }>
}

export const strayEndpoints = (
  { world: { store } }: Context.Service.Shape<typeof ControlPlane>,
  service: string,
  pods: ReadonlyArray<Known>,
  count: Count = () => {}
): ReadonlyArray<string> => {
  const slice = store.get("endpointslices.discovery.k8s.io", "edge", `${service}-slice`)?.object as Slice | undefined
  const ready = (slice?.endpoints ?? []).filter(({ conditions }) => conditions.ready)
  const living = pods.filter(({ deleted, place }) => !deleted && place.startsWith(`${service}-`))
  const missing = living.flatMap(({ name, place, uid }) => {
    const ip = (store.get("pods", "edge", place)?.object as Pod | undefined)?.status?.podIP
    if (ip === undefined) return [`${name} has no address that others could reach`]
    count(`rule: ${serviceRule}`)
    return ready.some(({ addresses, targetRef }) => targetRef.uid === uid && addresses.includes(ip))
      ? []
      : [`the Service ${service} does not lead to ${name}`]
  })
  const stray = ready.filter(({ targetRef }) => !living.some(({ uid }) => uid === targetRef.uid))
  return [
    ...missing,
    ...stray.map(({ targetRef }) => `the Service ${service} leads to ${targetRef.uid}, which is gone`)
  ]
}
