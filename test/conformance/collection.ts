/** Deletes a whole collection by its labels: a request that the product itself never makes, so its port has no word for it. */
import { Effect } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { type KubeResource, resourcePath } from "../../core/kube/KubeResource.ts"
import type { KubeObject } from "../../core/kube/ObjectMeta.ts"
import { namespace } from "./Cluster.ts"
import { Deviation } from "./Deviation.ts"

export const collection = <A extends KubeObject>(resource: KubeResource<A>, labels: string): string =>
  `${resourcePath(resource, { namespace })}?labelSelector=${encodeURIComponent(labels)}`

export const removeCollection = Effect.fnUntraced(function*(path: string) {
  const http = yield* HttpClient.HttpClient
  const answer = yield* http.execute(HttpClientRequest.delete(`http://plane${path}`))
  if (answer.status !== 200) {
    return yield* new Deviation({ detail: `DELETE ${path} was answered with ${answer.status}: ${yield* answer.text}` })
  }
})
