/** Stands in for kubelets: whatever is bound runs and is ready, whatever is being deleted goes. */
import { Effect } from "effect"
import { ControlPlane } from "../../../../adapters/kube/plane/ControlPlane.ts"
import { ask } from "./asking.ts"

export const kubelets = Effect.gen(function*() {
  const { world } = yield* ControlPlane
  for (const { object } of [...world.store.objects("pods")]) {
    const { metadata, spec, status } = object as unknown as {
      readonly metadata: { readonly name: string; readonly namespace: string; readonly deletionTimestamp?: string }
      readonly spec: {
        readonly nodeName?: string
        readonly containers: ReadonlyArray<{ readonly name: string; readonly image: string }>
      }
      readonly status: { readonly phase: string }
    }
    const url = `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}`
    if (spec.nodeName === undefined) continue
    if (metadata.deletionTimestamp !== undefined) yield* ask("DELETE", `${url}?gracePeriodSeconds=0`)
    else if (status.phase === "Pending") {
      yield* ask("PATCH", `${url}/status`, {
        patch: "strategic",
        body: {
          status: {
            phase: "Running",
            podIP: "10.1.2.3",
            podIPs: [{ ip: "10.1.2.3" }],
            conditions: [{ type: "Ready", status: "True" }, { type: "ContainersReady", status: "True" }],
            containerStatuses: spec.containers.map(({ name, image }) => ({
              name,
              image,
              imageID: "",
              ready: true,
              started: true,
              restartCount: 0,
              state: { running: { startedAt: "2026-11-20T00:00:00Z" } }
            }))
          }
        }
      })
    }
  }
})
