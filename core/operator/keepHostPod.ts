/** Keeps the host pod of one device: there as long as its Node is, made anew when somebody deletes it, its status true. */
import { Clock, Duration, Effect, Queue, Random, Schedule, SubscriptionRef } from "effect"
import { KubeApi, KubeApiError } from "../kube/KubeApi.ts"
import { type Pod, Pods } from "../kube/Pod.ts"
import { timestamp } from "../kube/time.ts"
import { owns } from "../node/desiredNode.ts"
import { hostPod, hostPodStatus, isAsWanted, isHostPod, isMirrorPod } from "../node/hostPod.ts"
import type { DeviceContext } from "./DeviceContext.ts"
import { EventRecorder } from "./EventRecorder.ts"
import { NodeIndex } from "./NodeIndex.ts"
import { OperatorIdentity } from "./OperatorIdentity.ts"
import { PodIndex } from "./PodIndex.ts"
import { isGone, podWrites } from "./podWrites.ts"

/** What nobody needs at once comes after what everybody waits for; less than twice as long, so that fleets do not come in step. */
const firstMillis = 5000

const askAgainMillis = 60_000

/** One that did not last so long is made anew after a pause, twice as long each time: who deletes it may do so for ever. */
const lastsMillis = 60_000
const pauseMillis = 1000
const longestPauseMillis = 5 * 60_000

const monotonicMillis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1_000_000n))

/** A quota or a policy may stand in its way for as long as its owner likes. */
const again = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("5 minutes")]).pipe(Schedule.jittered)

export const keepHostPod = Effect.fnUntraced(function*(
  context: DeviceContext,
  options: {
    readonly connected: () => boolean
    /** Whether this process speaks for the device; while it does not, nothing of the device is written. */
    readonly holds: () => boolean
  }
) {
  const api = yield* KubeApi
  const index = yield* PodIndex
  const nodes = yield* NodeIndex
  const events = yield* EventRecorder
  const identity = yield* OperatorIdentity
  const { finalise, writeStatus } = yield* podWrites
  const bell = yield* Queue.sliding<void>(1)
  const look = () => void Queue.offerUnsafe(bell, undefined)
  const { name, namespace } = context

  /** When the last one was made, until it is missed, and when the next one may be; by the monotonic clock. */
  let made: number | undefined
  let due: number | undefined
  /** How many in a row did not last. */
  let shortLived = 0
  /** Milliseconds until it is looked at again, where that does not wait for the bell alone. */
  let patience: number | undefined
  const lookAgainIn = (millis: number) => {
    patience = millis
  }
  let told = ""
  /** Once for as long as it says the same. */
  const warn = (reason: string, message: string) =>
    Effect.suspend(() => {
      if (told === message) return Effect.void
      told = message
      const about = {
        apiVersion: "aranya.arhat.dev/v1alpha1",
        kind: "EdgeDevice",
        namespace,
        name,
        uid: context.uid
      }
      return events.record({ about, type: "Warning", reason, message })
    })

  /** One that is there already may be ours, of which the watch has not told yet. */
  const make = (wanted: Pod): Effect.Effect<Pod, KubeApiError> =>
    Effect.catch(
      api.create(Pods, wanted),
      (error) => error.reason === "AlreadyExists" ? api.get(Pods, { namespace, name }) : Effect.fail(error)
    )

  /** Milliseconds until one that is not there may be made. */
  const pause = Effect.gen(function*() {
    const now = yield* monotonicMillis
    const chance = yield* Random.next
    if (due === undefined) due = now + firstMillis * (1 + chance)
    else if (made !== undefined) {
      shortLived = now - made < lastsMillis ? shortLived + 1 : 0
      const longest = Math.min(longestPauseMillis, pauseMillis * 2 ** (shortLived - 1))
      due = shortLived === 0 ? now : now + longest * (0.5 + chance / 2)
    }
    made = undefined
    return Math.ceil(due - now)
  })

  /** One look and one step. */
  const step = Effect.gen(function*(): Effect.fn.Return<void, KubeApiError> {
    patience = undefined
    if (!options.holds() || context.leaving() || (yield* SubscriptionRef.get(context.owned)) !== true) return
    const node = nodes.get(name)
    if (node === undefined || !owns(node, context, identity.installation)) return
    // Whoever made it: nobody runs it, so there is nobody else to say that it has ended.
    const ended = index.onNode(name).filter((pod) => isMirrorPod(pod) && pod.metadata.deletionTimestamp !== undefined)
    // Another operator may have it and say otherwise, which the watch need not have told yet: two would write for ever.
    const mayWrite = yield* Effect.cached(context.hold.standsYet)
    if (ended.length > 0) {
      if (!(yield* mayWrite)) return
      yield* Effect.forEach(ended, finalise, { discard: true })
    }
    const wanted = hostPod(context, node.metadata.uid ?? "")
    const known = index.byName(namespace, name)
    if (known === undefined) {
      const left = yield* pause
      if (left > 0) return lookAgainIn(left)
      if (!(yield* mayWrite)) return
    }
    const pod = known ?? (yield* make(wanted))
    if (!isHostPod(pod, context)) {
      // It may be on a Node of which nothing is heard here.
      lookAgainIn(askAgainMillis)
      return yield* warn(
        "HostPodNameTaken",
        `pod ${namespace}/${name} is somebody's own: while it is there, the device itself cannot be reached as a pod`
      )
    }
    if (known === undefined) made = yield* monotonicMillis
    // A kubelet takes the picture of a static pod away, too, as soon as somebody deletes it; and puts up another.
    if (!isAsWanted(pod, wanted)) return (yield* mayWrite) ? void (yield* finalise(pod)) : undefined
    // A device of which nothing is known has never been here.
    if ((yield* SubscriptionRef.get(context.nodeReport)) === undefined) return
    const status = hostPodStatus(pod, {
      connected: options.connected(),
      now: timestamp(yield* Clock.currentTimeMillis)
    })
    if (status === undefined) return
    if (!(yield* mayWrite)) return
    yield* Effect.catch(
      writeStatus(context.hold, pod, status),
      (error) => isGone(error) ? Effect.void : Effect.fail(error)
    )
  })

  const patiently = step.pipe(
    Effect.tapError((error) =>
      error.retryable
        ? Effect.logDebug(`host pod of ${context.key}: ${error.message}`)
        : warn("HostPodRefused", `the device itself cannot be reached as a pod: ${error.detail}`)
    ),
    Effect.retry(again),
    Effect.orDie
  )

  yield* nodes.follow(name, look)
  const rest = Effect.suspend(() => {
    const ring = Queue.take(bell)
    return patience === undefined ? ring : Effect.timeoutOption(ring, Duration.millis(patience))
  })
  yield* Effect.forever(Effect.andThen(patiently, rest)).pipe(Effect.forkScoped)
  return { look }
})
