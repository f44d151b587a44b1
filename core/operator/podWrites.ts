/** The two writes an operator makes for a pod: its status, and its end. Both only if it is still the same pod. */
import { Effect } from "effect"
import { KubeApi, KubeApiError } from "../kube/KubeApi.ts"
import { type Pod, Pods, type PodStatus } from "../kube/Pod.ts"
import { keepTolerations } from "../node/keepTolerations.ts"
import type { DeviceHold } from "./DeviceHold.ts"
import { PodIndex } from "./PodIndex.ts"
import { takenStatus } from "./takenStatus.ts"

/** Whether a write met no such pod: absent, or perhaps another one of that name, or a version that was changed meanwhile. */
export const isGone = (error: KubeApiError) => error.reason === "NotFound" || error.reason === "Conflict"

/** Tries of a status that meets others' writes. */
const tries = 5

/** Whether its phase is one that is never left. */
export const isTerminal = ({ status }: { readonly status?: PodStatus | undefined }) =>
  status?.phase === "Succeeded" || status?.phase === "Failed"

/** Whether a container was restarted less often than was said before: most probably said by somebody who has not heard the rest. */
const goesBack = (before: PodStatus | undefined, after: PodStatus): boolean => {
  const containers = (status: PodStatus | undefined) => [
    ...status?.initContainerStatuses ?? [],
    ...status?.containerStatuses ?? []
  ]
  const restarts = new Map(containers(before).map(({ name, restartCount }) => [name, restartCount]))
  return containers(after).some(({ name, restartCount }) => restartCount < (restarts.get(name) ?? 0))
}

/** Replaced as a whole, as a merge would keep the old ones. No addresses are such as are withheld: those that are there are taken away. */
const addressPatch = (one: "hostIP" | "podIP", before: PodStatus | undefined, after: PodStatus): object => {
  const many = `${one}s` as const
  const list = after[many]
  if (list === undefined) return {}
  if (list.length > 0) return { [one]: after[one], [many]: [{ $patch: "replace" }, ...list] }
  return before?.[one] === undefined && before?.[many] === undefined ? {} : { [one]: null, [many]: null }
}

const withoutAddresses = ({ hostIP: _, hostIPs: _1, podIP: _2, podIPs: _3, ...status }: PodStatus) => status

/**
 * The body of a status PATCH. Lists that the API merges by key are replaced where an entry may vanish; conditions of others
 * (the scheduler's, readiness gates) stay, as strategic merge keeps what is not named.
 */
export const statusPatch = (
  { metadata: { resourceVersion, uid }, status: before }: Pod,
  status: PodStatus
): unknown => ({
  // Of this very version: what was written since, by whoever speaks for the device now, is not written over.
  metadata: { uid, resourceVersion },
  status: {
    ...withoutAddresses(status),
    // A merge keeps what is not named: a reason that no longer holds has to be taken away.
    ...(status.conditions === undefined
      ? {}
      : { conditions: status.conditions.map((condition) => ({ reason: null, message: null, ...condition })) }),
    ...addressPatch("podIP", before, status),
    ...addressPatch("hostIP", before, status)
  }
})

export const podWrites = Effect.gen(function*() {
  const api = yield* KubeApi
  const index = yield* PodIndex

  const place = (pod: Pod) => ({ namespace: pod.metadata.namespace, name: pod.metadata.name ?? "" })

  const conflict = (detail: string) => new KubeApiError({ reason: "Conflict", status: 409, detail })

  /**
   * Of this version of the pod, and no other: fails with NotFound or Conflict once there is a newer one. A terminal phase is
   * never left, not even for the other: the API would let us.
   */
  const writeStatusOnce = Effect.fnUntraced(function*(pod: Pod, status: PodStatus) {
    if (isTerminal(pod) && status.phase !== pod.status?.phase) return
    const written = yield* api.patch(Pods, { ...place(pod), subresource: "status" }, {
      type: "strategic",
      body: statusPatch(pod, takenStatus(pod, status))
    }).pipe(
      Effect.mapError((error) =>
        // Another uid under the same name: the API calls the uid in the patch an invalid change of an immutable field.
        error.reason === "Invalid" && error.detail.includes("uid") ? conflict(error.detail) : error
      )
    )
    index.learn(written)
  })

  /**
   * Whatever others wrote meanwhile, as long as this process speaks for the device: one from which it was taken has nothing to
   * say any more, also where its request was under way. Fails with NotFound or Conflict then, or once the pod is another one.
   */
  const writeStatus = Effect.fnUntraced(function*(hold: DeviceHold, pod: Pod, status: PodStatus) {
    const { uid = "" } = pod.metadata
    const epoch = hold.epoch()
    if (epoch === undefined) return yield* conflict("another operator has taken the device")
    let current = index.byUid(uid) ?? pod
    // The watch of pods may be ahead of the one that tells who holds the device.
    if (goesBack(current.status, status) && !(yield* hold.stands(epoch))) {
      return yield* conflict("another operator has taken the device")
    }
    for (let left = tries; left > 1; left--) {
      const written = yield* Effect.result(writeStatusOnce(current, status))
      if (written._tag === "Success") return
      if (written.failure.reason !== "Conflict") return yield* written.failure
      current = yield* api.get(Pods, place(pod))
      if (current.metadata.uid !== uid) return yield* conflict(`pod ${uid} is gone`)
      index.learn(current)
      // After the pod was read: whoever takes the device from now on writes a version that this one is not.
      if (!(yield* hold.stands(epoch))) return yield* conflict("another operator has taken the device")
    }
    yield* writeStatusOnce(current, status)
  })

  /** Pods bound to a device are not to be evicted while the device, or aranya, is away. Whether anything had to be written. */
  const tolerate = Effect.fnUntraced(function*(pod: Pod) {
    const patch = pod.metadata.deletionTimestamp !== undefined ? undefined : keepTolerations(pod)
    if (patch === undefined) return false
    // Another pod may have the name by now, of which nothing is known here.
    const same = { op: "test", path: "/metadata/uid", value: pod.metadata.uid }
    index.learn(yield* api.patch(Pods, place(pod), { type: "json", body: [same, ...patch] }))
    return true
  })

  /** The pod is over on the device: the object goes at once. Gone already is success; whether it was there still. */
  const finalise = (pod: Pod) =>
    api.delete(Pods, place(pod), { gracePeriodSeconds: 0, uid: pod.metadata.uid ?? "" }).pipe(
      Effect.as(true),
      Effect.catch((error) => isGone(error) ? Effect.succeed(false) : Effect.fail(error))
    )

  /** This very pod as the API itself has it, not the watch; undefined where it is gone. */
  const find = (namespace: string, name: string, uid: string) =>
    api.get(Pods, { namespace, name }).pipe(
      Effect.map((pod) => pod.metadata.uid === uid ? pod : undefined),
      Effect.catch((error) => error.reason === "NotFound" ? Effect.undefined : Effect.fail(error))
    )

  const exists = (namespace: string, name: string, uid: string) =>
    Effect.map(find(namespace, name, uid), (pod) => pod !== undefined)

  /** Of which only the uid is known. */
  const isOnNode = (node: string, uid: string) =>
    Effect.map(
      api.list(Pods, { fieldSelector: `spec.nodeName=${node}` }),
      (all) => all.some(({ metadata }) => metadata.uid === uid)
    )

  return { find, writeStatus, writeStatusOnce, tolerate, finalise, exists, isOnNode }
})
