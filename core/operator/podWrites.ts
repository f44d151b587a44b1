/** The two writes an operator makes for a pod: its status, and its end. Both only if it is still the same pod. */
import { Effect } from "effect"
import { KubeApi, KubeApiError } from "../kube/KubeApi.ts"
import { type Pod, Pods, type PodStatus } from "../kube/Pod.ts"
import { keepTolerations } from "../node/keepTolerations.ts"
import { PodIndex } from "./PodIndex.ts"

/** Whether a write met no such pod: absent, or perhaps another one of that name, or a version that was changed meanwhile. */
export const isGone = (error: KubeApiError) => error.reason === "NotFound" || error.reason === "Conflict"

const terminal = (status: PodStatus | undefined) => status?.phase === "Succeeded" || status?.phase === "Failed"

/**
 * The body of a status PATCH. Lists that the API merges by key are replaced where an entry may vanish; conditions of others
 * (the scheduler's, readiness gates) stay, as strategic merge keeps what is not named.
 */
export const statusPatch = (uid: string, status: PodStatus, resourceVersion?: string): unknown => ({
  metadata: { uid, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
  status: {
    ...status,
    // A merge keeps what is not named: a reason that no longer holds has to be taken away.
    ...(status.conditions === undefined
      ? {}
      : { conditions: status.conditions.map((condition) => ({ reason: null, message: null, ...condition })) }),
    ...(status.podIPs === undefined ? {} : { podIPs: [{ $patch: "replace" }, ...status.podIPs] }),
    ...(status.hostIPs === undefined ? {} : { hostIPs: [{ $patch: "replace" }, ...status.hostIPs] })
  }
})

export const podWrites = Effect.gen(function*() {
  const api = yield* KubeApi
  const index = yield* PodIndex

  const place = (pod: Pod) => ({ namespace: pod.metadata.namespace, name: pod.metadata.name ?? "" })

  /** Fails with NotFound or Conflict once the pod is another one. A terminal phase is never left, not even for the other: the API would let us. */
  const writeStatus = Effect.fnUntraced(function*(pod: Pod, status: PodStatus, resourceVersion?: string) {
    const current = index.byUid(pod.metadata.uid ?? "") ?? pod
    if (terminal(current.status) && status.phase !== current.status?.phase) return
    const written = yield* api.patch(Pods, { ...place(pod), subresource: "status" }, {
      type: "strategic",
      body: statusPatch(pod.metadata.uid ?? "", status, resourceVersion)
    }).pipe(
      Effect.mapError((error) =>
        // Another uid under the same name: the API calls the uid in the patch an invalid change of an immutable field.
        error.reason === "Invalid" && error.detail.includes("uid")
          ? new KubeApiError({ reason: "Conflict", status: error.status, detail: error.detail })
          : error
      )
    )
    index.learn(written)
  })

  /** Pods bound to a device are not to be evicted while the device, or aranya, is away. */
  const tolerate = Effect.fnUntraced(function*(pod: Pod) {
    const patch = pod.metadata.deletionTimestamp !== undefined ? undefined : keepTolerations(pod)
    if (patch === undefined) return
    index.learn(yield* api.patch(Pods, place(pod), { type: "json", body: patch }))
  })

  /** The pod is over on the device: the object goes at once. Gone already is success. */
  const finalise = (pod: Pod) =>
    api.delete(Pods, place(pod), { gracePeriodSeconds: 0, uid: pod.metadata.uid ?? "" }).pipe(
      Effect.catch((error) => isGone(error) ? Effect.void : Effect.fail(error))
    )

  /** Asks the API itself, not the watch: does this very pod still exist? */
  const exists = (namespace: string, name: string, uid: string) =>
    api.get(Pods, { namespace, name }).pipe(
      Effect.map((pod) => pod.metadata.uid === uid),
      Effect.catch((error) => error.reason === "NotFound" ? Effect.succeed(false) : Effect.fail(error))
    )

  return { writeStatus, tolerate, finalise, exists }
})
