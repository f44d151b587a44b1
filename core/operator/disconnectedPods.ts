/**
 * While a device is away longer than the grace, its pods' Ready says False with reason DeviceDisconnected, so that Services stop
 * routing to them; nothing else about them changes, and the device's own word is restored when it is back.
 */
import { Clock, Duration, Effect, FiberHandle, Stream, SubscriptionRef } from "effect"
import type { Pod, PodCondition } from "../kube/Pod.ts"
import { timestamp } from "../kube/time.ts"
import { monotonicMillis } from "../pod/machine/Workbench.ts"
import type { DeviceAbsence } from "./deviceAbsence.ts"
import type { DeviceContext } from "./DeviceContext.ts"
import { EventRecorder } from "./EventRecorder.ts"
import { OperatorSettings } from "./OperatorSettings.ts"
import { PodIndex } from "./PodIndex.ts"
import { podWrites } from "./podWrites.ts"

/** Why pods are not ready while their device is away. */
export const deviceDisconnected = "DeviceDisconnected"
/** Others may write over it: it is said again this often while the device is away. */
const reassertMillis = 30_000

const readyOf = (pod: Pod) => pod.status?.conditions?.find(({ type }) => type === "Ready")

export const disconnectedPods = Effect.fnUntraced(function*(
  context: DeviceContext,
  options: {
    readonly connected: () => boolean
    readonly absence: Pick<DeviceAbsence, "since">
    /** Whether this process speaks for the device, as of which `absence` counts. */
    readonly holding: SubscriptionRef.SubscriptionRef<boolean>
    /** In a sentence for people. */
    readonly why: () => string
    /** Has this pod looked at until all that is to be done for it is done: what the device said last of it is said again. */
    readonly look: (uid: string) => void
  }
) {
  const settings = yield* OperatorSettings
  const index = yield* PodIndex
  const events = yield* EventRecorder
  const { writeStatusOnce } = yield* podWrites
  const graceMillis = Duration.toMillis(Duration.fromInputUnsafe(settings.disconnectGrace))
  const waiting = yield* FiberHandle.make()

  const quietly = <A, E extends { readonly message: string }>(work: Effect.Effect<A, E>) =>
    work.pipe(
      Effect.asVoid,
      // Said again at the next round.
      Effect.catch((error) => Effect.logDebug(`pods of ${context.key}: ${error.message}`))
    )

  const mark = Effect.gen(function*() {
    if ((yield* SubscriptionRef.get(context.owned)) !== true) return
    const now = timestamp(yield* Clock.currentTimeMillis)
    const unmarked = index.onNode(context.name).flatMap((pod) => {
      const ready = readyOf(pod)
      if (pod.status?.phase !== "Running" || ready === undefined) return []
      return ready.status === "False" && ready.reason === deviceDisconnected ? [] : [{ pod, ready }]
    })
    // It may be away from here only: it may have come to another operator, of which the watch has not told yet.
    if (unmarked.length === 0 || !(yield* context.hold.standsYet)) return
    for (const { pod, ready } of unmarked) {
      const condition: PodCondition = {
        type: "Ready",
        status: "False",
        reason: deviceDisconnected,
        message: "the device that runs this pod is not connected",
        lastTransitionTime: ready.status === "False" ? ready.lastTransitionTime ?? now : now
      }
      yield* quietly(
        // Of this very version: the pod may have ended meanwhile, and a terminal phase is never left.
        writeStatusOnce(pod, { phase: "Running", conditions: [condition] })
      )
    }
  })

  let told = false
  /** Of an absence that lasts, and of its end: flapping links are no news. */
  const tell = (type: "Normal" | "Warning", reason: string, message: string) =>
    events.record({
      about: {
        apiVersion: "aranya.arhat.dev/v1alpha1",
        kind: "EdgeDevice",
        namespace: context.namespace,
        name: context.name,
        uid: context.uid
      },
      type,
      reason,
      message
    })
  const tellLeft = Effect.suspend(() => {
    if (told || context.hold.epoch() === undefined || SubscriptionRef.getUnsafe(context.nodeReport) === undefined) {
      return Effect.void
    }
    told = true
    return tell("Warning", deviceDisconnected, options.why())
  })
  const tellBack = Effect.suspend(() => {
    if (!told) return Effect.void
    told = false
    return tell("Normal", "DeviceConnected", "the device is connected again")
  })

  const round = Effect.gen(function*() {
    if (!(yield* SubscriptionRef.get(options.holding))) {
      told = false
      yield* Stream.runHead(Stream.filter(SubscriptionRef.changes(options.holding), (holds) => holds))
      return
    }
    const now = yield* monotonicMillis
    // Looked at anew: the absence counts from when this process has taken the device, which may be since it waits.
    const left = (options.absence.since() ?? now) + graceMillis - now
    if (left > 0) return yield* Effect.sleep(left)
    yield* tellLeft
    yield* quietly(mark)
    yield* Effect.sleep(reassertMillis)
  })
  // It is heard of twice where the connection goes first and the session later: what is left to wait is looked at anew.
  const left = FiberHandle.run(waiting, Effect.forever(round))

  /** What the device said last is true again; pods of which nothing is known are reported anew by the device. */
  const restore = Effect.sync(() => {
    for (const pod of index.onNode(context.name)) {
      if (readyOf(pod)?.reason === deviceDisconnected) options.look(pod.metadata.uid ?? "")
    }
  })

  if (!options.connected()) yield* left
  return {
    left: Effect.asVoid(left),
    back: FiberHandle.clear(waiting).pipe(Effect.andThen(tellBack), Effect.andThen(restore))
  }
})
