/**
 * What `spec.partition` asks for beside the Node: tells the device how long its workloads may run unheard, gives pods up whose
 * device is away for too long, and sorts out what both hold when it is back. Each step is taken under one lock: a device whose
 * workloads rest begins again only when it is told, and it is not told while a pod is being given up.
 */
import { Duration, Effect, Queue, Schedule, Semaphore, Stream, SubscriptionRef } from "effect"
import { leashOf } from "../agent/leash.ts"
import type { EdgeDevice } from "../device/EdgeDevice.ts"
import { formatGoDuration, parseGoDuration } from "../device/goDuration.ts"
import { replacementMargin } from "../device/partitionPolicy.ts"
import type { KubeApiError } from "../kube/KubeApi.ts"
import type { Pod } from "../kube/Pod.ts"
import type { DeviceHello } from "../link/Hello.ts"
import type { LinkError, Session } from "../link/Session.ts"
import { monotonicMillis } from "../pod/machine/Workbench.ts"
import { askWithin } from "./askDevice.ts"
import type { DeviceAbsence } from "./deviceAbsence.ts"
import type { DeviceContext } from "./DeviceContext.ts"
import { DeviceRegistry } from "./DeviceRegistry.ts"
import { EventRecorder } from "./EventRecorder.ts"
import { givePodUp, isRefused, isToGo, mayBeReplaced } from "./givePodUp.ts"
import { OperatorIdentity } from "./OperatorIdentity.ts"
import { PodIndex } from "./PodIndex.ts"
import { dialsWithin, heardAfterTaken, vouch } from "./vouch.ts"

/** Looks at what is due while a device is away. */
const lookEvery = "15 seconds"
/** Asks again for what the API server refused to delete, of a device that is there. */
const finishEvery = "1 minute"
/** Pods that are deleted at a time, of a device that waits for it. */
const finishedAtOnce = 8
/** What the device has is not known: it is being told. */
const unknown = "unknown"
/** Clocks of devices that cannot ask a better one run wrong by less than this share. */
const clockDrift = 0.002
/** As many pods as a Node can be allotted. The first of them: what came after the device had gone is not on it. */
const mostReplaced = 1000

const again = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")]).pipe(Schedule.jittered)

const none: ReadonlyArray<string> = []

interface Refusal {
  readonly pod: Pod
  readonly error: KubeApiError
}

export const keepPartition = Effect.fnUntraced(function*(
  context: DeviceContext,
  options: {
    readonly connected: () => boolean
    readonly absence: DeviceAbsence
    /** Has the device end this pod, if it holds it; completes when that is durable there. */
    readonly end: (session: Session, uid: string) => Effect.Effect<void, LinkError>
    /** The same for all that the API has no more, or is ending. */
    readonly endGone: (session: Session) => Effect.Effect<void, KubeApiError | LinkError>
  }
) {
  const registry = yield* DeviceRegistry
  const identity = yield* OperatorIdentity
  const index = yield* PodIndex
  const events = yield* EventRecorder
  const giveUp = yield* givePodUp(context)
  const turn = yield* Semaphore.make(1)
  const bell = yield* Queue.sliding<void>(1)
  let replaced = 0
  /** Said last of what is not in force, by reason; nothing once it is. */
  const told = new Map<string, string>()

  const about = {
    apiVersion: "aranya.arhat.dev/v1alpha1",
    kind: "EdgeDevice",
    namespace: context.namespace,
    name: context.name,
    uid: context.uid
  }
  /** Once for as long as it says the same, or something like it. */
  const warn = (reason: string, message: string, likeness = message) =>
    Effect.suspend(() => {
      if (told.get(reason) === likeness) return Effect.void
      told.set(reason, likeness)
      return events.record({ about, type: "Warning", reason, message })
    })
  /** What stands in the way of one pod, such as somebody's admission policy, holds up neither the others nor their device. */
  const warnOf = (refusals: ReadonlyArray<Refusal>) =>
    Effect.suspend(() => {
      const [first] = refusals
      if (first === undefined) return Effect.sync(() => void told.delete("ReplacedPodsStay"))
      const names = refusals.map(({ pod: { metadata } }) => `${metadata.namespace}/${metadata.name}`)
      const message =
        `the API server refuses to give up ${names.length} of the device's pods, such as ${names[0]}, and is `
        + `asked again: ${first.error.message}`
      return warn("ReplacedPodsStay", message, names.join())
    })

  const policy = () => SubscriptionRef.getUnsafe(context.device).spec.partition
  const record = () => registry.get(context.key)?.status?.partition
  /** Written before what it is about is done: whoever goes on from here has to know. Whether the device was still ours then. */
  const note = (next: { readonly stopWorkloadsAfter?: string | undefined; readonly replaced: ReadonlyArray<string> }) =>
    registry.swapStatus({ key: context.key, uid: context.uid }, (before) => {
      if (before.link?.holder !== identity.holder) return undefined
      const { partition, ...rest } = before
      const after = {
        ...(next.stopWorkloadsAfter === undefined ? {} : { stopWorkloadsAfter: next.stopWorkloadsAfter }),
        ...(next.replaced.length === 0 ? {} : { replaced: next.replaced.slice(0, mostReplaced) })
      }
      if (JSON.stringify(partition ?? {}) === JSON.stringify(after)) return undefined
      return Object.keys(after).length === 0 ? rest : { ...rest, partition: after }
    }).pipe(Effect.map(({ status }) => status?.link?.holder === identity.holder))

  const wish = ({ spec }: EdgeDevice) => JSON.stringify(spec.partition)
  /** The policy by which was settled last. */
  let settled: string | undefined
  /** Pods that are noted, or may be, and of which the device was back before any was given up. */
  let untouched: ReadonlySet<string> = new Set()
  /** Given up and ended on the device, which is back; the API server refuses to delete them. */
  let kept: ReadonlyArray<string> = none
  const finish = Effect.fnUntraced(function*(uids: ReadonlyArray<string>) {
    const refusals: Array<Refusal> = []
    yield* Effect.forEach(
      uids.flatMap((uid) => index.byUid(uid) ?? []),
      (pod) =>
        Effect.catchIf(giveUp.finish(pod), isRefused, (error) => Effect.sync(() => void refusals.push({ pod, error }))),
      { concurrency: finishedAtOnce, discard: true }
    )
    return refusals
  })
  const uidsOf = (refusals: ReadonlyArray<Refusal>) => refusals.flatMap(({ pod }) => pod.metadata.uid ?? [])

  /** Milliseconds the device keeps its leash at, as it said; 0 for none, undefined where its agent knows of none. */
  let onDevice: number | undefined

  /** What was given up or is gone ends on the device, and then it is told what it may: in this order. */
  const settle = (session: Session) =>
    turn.withPermit(Effect.gen(function*(): Effect.fn.Return<void, KubeApiError | LinkError> {
      const { replaced: noted = none, stopWorkloadsAfter: recorded } = record() ?? {}
      const replaced = noted.filter((uid) => !untouched.has(uid))
      for (const uid of replaced) yield* options.end(session, uid)
      const refusals = yield* finish(replaced)
      const left = uidsOf(refusals)
      settled = wish(SubscriptionRef.getUnsafe(context.device))
      const wanted = policy().stopWorkloadsAfter
      const millis = wanted === undefined ? 0 : Math.max(1, Math.floor(Duration.toMillis(wanted)))
      const text = wanted === undefined ? undefined : formatGoDuration(wanted)
      if (onDevice === undefined) {
        if (wanted === undefined) told.clear()
        else {
          yield* warn(
            "PartitionPolicyNotInForce",
            "the agent on the device is too old for spec.partition.stopWorkloadsAfter: it will not stop its workloads, and "
              + "nothing of it is replaced unless spec.partition.allowRunningTwice is true"
          )
        }
        yield* note({ replaced: left })
        kept = left
        return yield* warnOf(refusals)
      }
      if (millis !== 0 || onDevice !== 0) {
        if (onDevice !== millis || recorded !== text) yield* note({ stopWorkloadsAfter: unknown, replaced })
        yield* options.endGone(session)
        const settings = { hostIPs: [], clusterDNS: [], clusterDomain: "" }
        yield* askWithin(context)(session, {
          _tag: "Configure",
          settings: millis === 0 ? settings : { ...settings, stopWorkloadsAfter: millis }
        })
        onDevice = millis
      }
      yield* note({ stopWorkloadsAfter: text, replaced: left })
      kept = left
      told.clear()
      yield* warnOf(refusals)
    }))

  /** What was refused when the device came back. It has ended there: only its object is left. */
  const finishRest = turn.withPermit(Effect.gen(function*() {
    if (kept.length === 0) return
    const refusals = yield* finish(kept)
    const left = uidsOf(refusals)
    if (left.length < kept.length) {
      const { replaced = none, stopWorkloadsAfter } = record() ?? {}
      const gone = new Set(kept.filter((uid) => !left.includes(uid)))
      yield* note({ stopWorkloadsAfter, replaced: replaced.filter((uid) => !gone.has(uid)) })
      kept = left
    }
    yield* warnOf(refusals)
  })).pipe(
    Effect.catch((error) => Effect.logDebug(`given-up pods of ${context.key} stay: ${error.message}`))
  )

  const patiently = (session: Session) =>
    settle(session).pipe(
      Effect.tapError((error) => Effect.logDebug(`spec.partition of ${context.key}: ${error.message}`)),
      Effect.retry({
        schedule: again,
        while: (error) =>
          error._tag === "LinkError"
            ? error.reason !== "SessionLost" && error.reason !== "Closed"
            : error.reason !== "NotFound"
      }),
      Effect.catch((error) => Effect.logDebug(`spec.partition of ${context.key} waits: ${error.message}`))
    )

  /**
   * This operator hung up on the device, for want of the API server, or of its word: the time until that is back is no absence of the
   * device. `Unheard`: it is not known to be back. `Heard`: it is, and the device has its time to dial.
   */
  let hungUp: "Unheard" | "Heard" | undefined

  /** Of the absence that began then, and of pods that are still there: those of which it was told, and since when each is there. */
  let apart: {
    readonly since: number
    readonly givenUp: Set<string>
    readonly from: ReadonlyMap<string, number>
  } | undefined

  /**
   * What came to the Node in spite of its taint has as long as the device had: given up at once it would only come again, and again.
   * Milliseconds; pods that were there when they were looked at first have been there all the time.
   */
  const meet = (pods: ReadonlyArray<Pod>, since: number, now: number) => {
    const before = apart?.since === since ? apart : undefined
    const from = new Map(
      pods.map(({ metadata: { uid = "" } }) => [uid, before?.from.get(uid) ?? (before ? now : since)])
    )
    const givenUp = [...before?.givenUp ?? []].filter((uid) => from.has(uid))
    apart = { since, givenUp: new Set(givenUp), from }
    return apart
  }

  /** How long the device must have been away for this pod to be given up, in milliseconds; undefined: it never is. */
  const patience = (pod: Pod, replaceAfter: number, stopsAfter: number | undefined): number => {
    if (stopsAfter === undefined) return replaceAfter
    const grace = (pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30) * 1000
    const margin = Duration.toMillis(Duration.sum(replacementMargin, heardAfterTaken))
    return Math.max(replaceAfter, stopsAfter * (1 + clockDrift) + Math.max(grace, 2000) + margin)
  }

  /** The epoch under which the absence is counted: what another operator heard in between nobody here knows. */
  let counted = context.hold.epoch()
  const recount = Effect.suspend(() => {
    const epoch = context.hold.epoch()
    if (epoch === undefined || epoch === counted) return Effect.succeed(false)
    counted = epoch
    return Effect.as(options.absence.anew, true)
  })

  const replace = turn.withPermit(Effect.gen(function*(): Effect.fn.Return<void, KubeApiError> {
    const { allowRunningTwice, onReturn, replaceAfter } = policy()
    const since = options.absence.since()
    const epoch = context.hold.epoch()
    if (replaceAfter === undefined || since === undefined || epoch === undefined || options.connected()) return
    if (yield* recount) return
    if ((yield* SubscriptionRef.get(context.owned)) !== true || context.leaving()) return
    const now = yield* monotonicMillis
    const away = now - since
    const replaceMillis = Duration.toMillis(replaceAfter)
    if (away < replaceMillis) return
    const { replaced: before = none, stopWorkloadsAfter: recorded } = record() ?? {}
    const confirmed = recorded === undefined || recorded === unknown ? undefined : parseGoDuration(recorded)
    const stopsAfter = confirmed === undefined ? undefined : Duration.toMillis(confirmed)
    if (stopsAfter === undefined && !allowRunningTwice) {
      return yield* warn(
        "ReplacementHeld",
        "the device has not confirmed spec.partition.stopWorkloadsAfter and may still run its pods: they are not replaced. "
          + "If they may run twice, set spec.partition.allowRunningTwice to true"
      )
    }
    const dials = hungUp === undefined ? 0 : Duration.toMillis(dialsWithin)
    const pods = index.onNode(context.name)
    const { from, givenUp } = meet(pods, since, now)
    const due = pods.filter((pod) =>
      mayBeReplaced(pod, onReturn) &&
      away >= Math.max(dials, patience(pod, replaceMillis, allowRunningTwice ? undefined : stopsAfter)) &&
      // What somebody deleted does not come again for having been given up.
      (pod.metadata.deletionTimestamp !== undefined ||
        now - (from.get(pod.metadata.uid ?? "") ?? now) >= replaceMillis)
    )
    if (hungUp !== "Unheard" && due.length === 0) return
    if (!(yield* context.hold.stands(epoch))) return
    if (hungUp === "Unheard") {
      hungUp = "Heard"
      return yield* options.absence.anew
    }
    // It came back while that was asked.
    if (options.connected()) return
    // What stands in for another, and came here, is no original: kept beside its own stand-in there would be ever more of them.
    const goes = (pod: Pod) => isToGo(pod, onReturn) || (from.get(pod.metadata.uid ?? "") ?? since) > since
    const uids = due.flatMap((pod) => goes(pod) ? pod.metadata.uid ?? [] : [])
    if (uids.length > 0) {
      // Taken up again, its session would bring what was asked before, and nobody would tell the device of these: it has to begin
      // another one.
      const kept = yield* SubscriptionRef.get(context.session)
      if (kept !== undefined) yield* kept.close("pods of the device are given up")
      untouched = new Set(uids.filter((uid) => untouched.has(uid) || !before.includes(uid)))
      // Another operator that has it by now tells it to go on, and knows of nothing that was given up.
      if (!(yield* note({ stopWorkloadsAfter: recorded, replaced: [...new Set([...before, ...uids])] }))) return
    }
    // It came back while that was written: none of them is given up.
    if (options.connected()) {
      const given = before.filter((uid) => !untouched.has(uid))
      return void (yield* note({ stopWorkloadsAfter: recorded, replaced: given }))
    }
    untouched = new Set()
    let given = 0
    const tell = Effect.suspend(() => {
      if (given === 0) return Effect.void
      replaced += given
      return events.record({
        about,
        type: "Warning",
        reason: "PodsReplaced",
        message: `the device has been away for ${Duration.format(Duration.seconds(Math.floor(away / 1000)))}: ${given} `
          + "of its pods are given up, so that their controllers replace them"
      })
    })
    const refusals: Array<Refusal> = []
    const give = (pod: Pod) =>
      Effect.map(giveUp.begin(pod, goes(pod)), (done) => {
        const uid = pod.metadata.uid ?? ""
        // The watch may not have told yet of what somebody's finalizer keeps.
        if (!done || givenUp.has(uid)) return
        givenUp.add(uid)
        given += 1
      })
    // Where the API fails halfway, the rest is for the next round, which knows nothing of the first half.
    yield* Effect.forEach(due, (pod) =>
      // A refusal may take its time, and a device that is back waits for the end of this.
      refusals.length > 0 && options.connected() ? Effect.void : Effect.catchIf(
        give(pod),
        isRefused,
        (error) => Effect.sync(() => void refusals.push({ pod, error }))
      ), { discard: true }).pipe(Effect.ensuring(tell))
    yield* warnOf(refusals)
  }))

  yield* Effect.gen(function*() {
    while (true) {
      yield* recount
      const { replaceAfter } = policy()
      if (replaceAfter === undefined || options.absence.since() === undefined) {
        yield* Queue.take(bell)
        continue
      }
      const left = Duration.toMillis(replaceAfter) - ((yield* monotonicMillis) - (options.absence.since() ?? 0))
      if (left > 0) {
        yield* Effect.timeoutOption(Queue.take(bell), Duration.millis(left))
        continue
      }
      yield* replace.pipe(
        Effect.catch((error) => Effect.logDebug(`replacing pods of ${context.key}: ${error.message}`))
      )
      yield* Effect.timeoutOption(Queue.take(bell), lookEvery)
    }
  }).pipe(Effect.forkScoped)

  return {
    /** Something of the policy, or whether the device is there, may have changed. */
    look: () => void Queue.offerUnsafe(bell, undefined),
    /** A session began; for as long as its scope. */
    begin: Effect.fnUntraced(function*(session: Session, hello: DeviceHello) {
      onDevice = leashOf(hello.capabilities)
      hungUp = undefined
      yield* vouch(context.hold, session, {
        counts: () => (onDevice ?? 0) > 0,
        hangsUp: () => {
          hungUp = "Unheard"
        }
      }).pipe(Effect.forkScoped)
    }),
    /** What the device holds is known; runs for as long as the session's scope. */
    attach: Effect.fnUntraced(function*(session: Session) {
      yield* patiently(session)
      const wishes = SubscriptionRef.changes(context.device).pipe(
        Stream.filter((device) => wish(device) !== settled),
        Stream.as(undefined)
      )
      // Told once more, it is so once more: what it was told to go on by came before.
      const rests = SubscriptionRef.changes(context.nodeReport).pipe(
        Stream.filter((report) => report?.resting === true),
        Stream.as(undefined)
      )
      yield* Stream.merge(wishes, rests).pipe(
        Stream.runForEach(() => patiently(session)),
        Effect.forkScoped
      )
      yield* giveUp.restore(options.connected).pipe(Effect.forkScoped)
      // Only an absence makes more of them, and another session ends it.
      if (kept.length === 0) return
      yield* Effect.andThen(Effect.sleep(finishEvery), finishRest).pipe(
        Effect.repeat({ until: () => kept.length === 0 }),
        Effect.forkScoped
      )
    }),
    replaced: () => replaced
  }
})
