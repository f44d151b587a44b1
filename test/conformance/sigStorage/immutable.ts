/** An immutable ConfigMap or Secret: its labels may change, its data may not, and it stays immutable until it is deleted. */
import { Effect } from "effect"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import type { KubeResource } from "../../../core/kube/KubeResource.ts"
import type { KubeObject } from "../../../core/kube/ObjectMeta.ts"
import { namespace } from "../Cluster.ts"
import { mustBeRefused } from "../podVocabulary.ts"

export const isImmutable = Effect.fnUntraced(function*<A extends KubeObject>(
  resource: KubeResource<A>,
  values: { readonly before: string; readonly after: string }
) {
  const api = yield* KubeApi
  const at = { namespace, name: "settings" }
  const merge = (body: unknown) => api.patch(resource, at, { type: "merge", body })
  yield* api.create(
    resource,
    { apiVersion: "v1", kind: resource.kind, metadata: at, data: { key: values.before } } as unknown as A
  )
  yield* merge({ data: { key: values.after } })
  yield* merge({ immutable: true })
  yield* mustBeRefused(merge({ data: { key: values.before } }), "Invalid")
  yield* mustBeRefused(merge({ immutable: false }), "Invalid")
  yield* merge({ metadata: { labels: { changed: "yes" } } })
  yield* api.delete(resource, at)
})
