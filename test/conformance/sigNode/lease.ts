/** Leases in the API. */
import { Effect } from "effect"
import { Leases } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { namespace } from "../Cluster.ts"
import { collection, removeCollection } from "../collection.ts"
import { mustEqual } from "../podVocabulary.ts"
import { suite } from "../Scenario.ts"

export const lease = suite("[sig-node] Lease", {
  "lease API should be available [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    const at = { namespace, name: "lease" }
    const spec = {
      holderIdentity: "somebody",
      leaseDurationSeconds: 30,
      acquireTime: "2026-01-01T00:00:00.000000Z",
      renewTime: "2026-01-01T00:00:05.000000Z",
      leaseTransitions: 0
    }
    yield* api.create(Leases, { metadata: { ...at, labels: { scenario: "lease" } }, spec })
    const read = yield* api.get(Leases, at)
    yield* mustEqual(Object.entries(read.spec ?? {}).sort(), Object.entries(spec).sort(), "as read")

    const changed = { ...spec, holderIdentity: "somebody else", leaseTransitions: 1 }
    yield* api.replace(Leases, { ...read, spec: changed })
    const replaced = yield* api.get(Leases, at)
    yield* mustEqual(Object.entries(replaced.spec ?? {}).sort(), Object.entries(changed).sort(), "as replaced")

    yield* api.patch(Leases, at, { type: "strategic", body: { spec: { leaseDurationSeconds: 60 } } })
    yield* mustEqual((yield* api.get(Leases, at)).spec?.leaseDurationSeconds, 60, "as patched")

    const name = "lease-2"
    yield* api.create(Leases, { metadata: { namespace, name, labels: { scenario: "lease" } }, spec })
    const both = yield* api.list(Leases, { namespace, labelSelector: "scenario=lease" })
    yield* mustEqual(both.length, 2, "listed")
    yield* removeCollection(collection(Leases, "scenario=lease"))
    yield* mustEqual((yield* api.list(Leases, { namespace, labelSelector: "scenario=lease" })).length, 0, "left over")
  })
})
