/** Gives a pod up whose device is away, so that its controller makes another: the object goes, or only its labels do. */
import { Clock, Effect } from "effect"
import type { PartitionPolicy } from "../device/partitionPolicy.ts"
import { KubeApi, type KubeApiError } from "../kube/KubeApi.ts"
import { type Pod, Pods } from "../kube/Pod.ts"
import { parseTimestamp, timestamp } from "../kube/time.ts"
import { asideAnnotation, deletionCost, favouredAnnotation, isAside, labelsOf } from "../node/setAside.ts"
import type { DeviceContext } from "./DeviceContext.ts"
import { EventRecorder } from "./EventRecorder.ts"
import { PodIndex } from "./PodIndex.ts"
import { isGone, isTerminal, podWrites } from "./podWrites.ts"

type OnReturn = PartitionPolicy["onReturn"]

/** These count by labels and may have one too many for a while; for others a second pod would be a second of its name or index. */
const counting = new Set(["ReplicaSet", "ReplicationController"])
/** Their pod would land on this very Node again, or is the Node's own. */
const bound = new Set(["DaemonSet", "Node"])

/** How often it is looked whether pods that were set aside are ready. */
const restoreEvery = "5 seconds"
/** How long a restored pod is the last that its controller would delete. */
const favouredMillis = 2 * 60_000
const dearest = "2147483647"

const controllerOf = (pod: Pod) => pod.metadata.ownerReferences?.find(({ controller }) => controller === true)?.kind

const isReady = (pod: Pod) =>
  pod.status?.conditions?.some(({ status, type }) => type === "Ready" && status === "True") === true

const disruption = "DeletionByPartitionPolicy"
/** It was given up, and the API failed before its object was gone. */
const isEnded = (pod: Pod): boolean =>
  isTerminal(pod) && pod.status?.conditions?.some(({ reason }) => reason === disruption) === true

/** The API server has answered, and the next request may well be granted: one that is away has refused nothing. */
export const isRefused = ({ reason, status }: KubeApiError) =>
  status !== 0 && status !== 429 && status !== 503 && status !== 504 && reason !== "Unauthorized"

/** Nothing more can be done for it: somebody's finalizer keeps the object, or its controller has not let go of it yet. */
const isGivenUp = (pod: Pod, onReturn: OnReturn): boolean =>
  pod.metadata.deletionTimestamp === undefined
    ? onReturn === "keepOriginal" && isAside(pod)
    : pod.metadata.deletionGracePeriodSeconds === 0

export const mayBeReplaced = (pod: Pod, onReturn: OnReturn): boolean => {
  if (isGivenUp(pod, onReturn)) return false
  // What somebody deleted only waits for the device to say that it has ended.
  if (pod.metadata.deletionTimestamp !== undefined) return true
  if (isTerminal(pod)) return isEnded(pod)
  const controller = controllerOf(pod)
  if (controller === undefined || bound.has(controller)) return false
  return onReturn === "keepReplacement" || counting.has(controller)
}

/** Whether its object is to go, and not only its labels: what the device has of it must end there. */
export const isToGo = (pod: Pod, onReturn: OnReturn): boolean =>
  pod.metadata.deletionTimestamp !== undefined || onReturn === "keepReplacement" || isEnded(pod)

export const givePodUp = Effect.fnUntraced(function*(context: DeviceContext) {
  const api = yield* KubeApi
  const index = yield* PodIndex
  const events = yield* EventRecorder
  const { finalise, find, writeStatus } = yield* podWrites

  const place = (pod: Pod) => ({ namespace: pod.metadata.namespace ?? "", name: pod.metadata.name ?? "" })
  const tell = (pod: Pod, reason: string, message: string) =>
    events.record({
      about: { apiVersion: "v1", kind: "Pod", ...place(pod), uid: pod.metadata.uid ?? "" },
      type: "Warning",
      reason,
      message,
      host: context.name
    })

  /** Whether it was written. */
  const unlessGone = <A>(write: Effect.Effect<A, KubeApiError>) =>
    write.pipe(
      Effect.as(true),
      Effect.catch((error) => isGone(error) ? Effect.succeed(false) : Effect.fail(error))
    )

  /** As the pod garbage collector ends pods of Nodes that are gone: Failed, a disruption, then deleted without grace. */
  const end = Effect.fnUntraced(function*(pod: Pod) {
    // Told of when it was set Failed.
    if (isEnded(pod)) return yield* Effect.as(finalise(pod), false)
    const message = "the device that runs this pod is away for longer than spec.partition.replaceAfter"
    const failed = yield* unlessGone(writeStatus(context.hold, pod, {
      phase: "Failed",
      reason: "DeviceDisconnected",
      message,
      conditions: [{
        type: "DisruptionTarget",
        status: "True",
        reason: disruption,
        message,
        lastTransitionTime: timestamp(yield* Clock.currentTimeMillis)
      }]
    }))
    // Its controller may have been faster: a StatefulSet deletes what has failed. Where the API fails now, the next round does.
    const deleted = yield* Effect.catch(
      finalise(pod),
      (error) => failed ? Effect.succeed(false) : Effect.fail(error)
    )
    if (!deleted && !failed) return false
    yield* tell(pod, "ReplacedWhileDeviceIsAway", message)
    return true
  })

  /** Its labels go, so that its controller lets go of it and makes another; they are kept in an annotation. */
  const setAside = Effect.fnUntraced(function*(pod: Pod) {
    const labels = pod.metadata.labels ?? {}
    const { resourceVersion, uid } = pod.metadata
    const written = yield* unlessGone(
      api.patch(Pods, place(pod), {
        type: "merge",
        body: {
          metadata: {
            uid,
            resourceVersion,
            labels: Object.fromEntries(Object.keys(labels).map((key) => [key, null])),
            annotations: { [asideAnnotation]: JSON.stringify(labels) }
          }
        }
      }).pipe(Effect.tap((written) => Effect.sync(() => index.learn(written))))
    )
    // What was changed meanwhile is looked at again as it is by then.
    if (!written) return false
    yield* tell(pod, "SetAsideWhileDeviceIsAway", "another pod stands in for this one until its device is back")
    return true
  })

  /** Whether this gave it up: it may be gone already, as the watch need not have told yet. */
  const begin = (pod: Pod, goes: boolean): Effect.Effect<boolean, KubeApiError> =>
    !goes
      ? setAside(pod)
      : pod.metadata.deletionTimestamp !== undefined
      ? finalise(pod)
      : end(pod)

  /**
   * For a device that is back. What was not begun with, and is not deleted now, was never given up: it goes on, and may not be
   * deleted later, when it runs.
   */
  const finish = (pod: Pod): Effect.Effect<void, KubeApiError> =>
    Effect.catchIf(Effect.asVoid(finalise(pod)), isRefused, (error) => {
      const { namespace, name } = place(pod)
      return Effect.flatMap(
        find(namespace, name, pod.metadata.uid ?? ""),
        (now) =>
          now !== undefined && (isTerminal(now) || now.metadata.deletionTimestamp !== undefined)
            ? Effect.fail(error)
            : Effect.void
      )
    })

  /** Its controller adopts it again, and is told that every other of its pods is worth less. */
  const bringBack = Effect.fnUntraced(function*(pod: Pod) {
    const { annotations = {}, resourceVersion, uid } = pod.metadata
    const isOwners = annotations[deletionCost] !== undefined && annotations[favouredAnnotation] === undefined
    const favour = isOwners ? {} : {
      [deletionCost]: dearest,
      [favouredAnnotation]: timestamp((yield* Clock.currentTimeMillis) + favouredMillis)
    }
    const restored = yield* api.patch(Pods, place(pod), {
      type: "merge",
      body: {
        metadata: {
          uid,
          resourceVersion,
          labels: labelsOf(pod),
          annotations: { [asideAnnotation]: null, ...favour }
        }
      }
    })
    index.learn(restored)
  })

  /** It was favoured for long enough, by whichever operator; one whose clock is far off is not waited for. */
  const favourIsOver = ({ metadata }: Pod, now: number): boolean => {
    const until = metadata.annotations?.[favouredAnnotation]
    if (until === undefined) return false
    const left = (parseTimestamp(until) ?? 0) - now
    return left <= 0 || left > favouredMillis
  }

  const endFavour = (pod: Pod) =>
    Effect.map(
      api.patch(Pods, place(pod), {
        type: "merge",
        body: {
          metadata: {
            uid: pod.metadata.uid,
            // The watch need not have told yet what its owner wrote.
            resourceVersion: pod.metadata.resourceVersion,
            annotations: {
              // Its owner may have set another one meanwhile.
              ...(pod.metadata.annotations?.[deletionCost] === dearest ? { [deletionCost]: null } : {}),
              [favouredAnnotation]: null
            }
          }
        }
      }),
      (written) => index.learn(written)
    )

  /** Runs while the device is linked: what was set aside and is ready again stands for itself, favoured for a while. */
  const restore = (connected: () => boolean) =>
    Effect.forever(
      Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        const pods = connected() ? index.onNode(context.name) : []
        const steps = [
          ...pods.filter((pod) => isAside(pod) && isReady(pod)).map((pod) => [pod, bringBack(pod)] as const),
          ...pods.filter((pod) => !isAside(pod) && favourIsOver(pod, now)).map((pod) => [pod, endFavour(pod)] as const)
        ]
        yield* Effect.forEach(steps, ([pod, step]) =>
          Effect.catch(step, (error) =>
            Effect.logDebug(`pod ${pod.metadata.name} stays as it is: ${error.message}`)), {
          concurrency: 8,
          discard: true
        })
        yield* Effect.sleep(restoreEvery)
      })
    )

  return { begin, finish, restore }
})
