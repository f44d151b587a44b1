/**
 * Keeps one pod as the API has it on the device: resolves it, assigns it, ends it, finalises it. Level-triggered: each round
 * looks at the pod, at what it refers to and at the device as they are, and does the next thing.
 */
import { Clock, Duration, Effect, Option, Schedule, SubscriptionRef } from "effect"
import type { KubeApiError } from "../kube/KubeApi.ts"
import type { Pod, PodStatus } from "../kube/Pod.ts"
import { timestamp } from "../kube/time.ts"
import type { Cryptography } from "../link/Cryptography.ts"
import type { LinkError, Session } from "../link/Session.ts"
import { withoutAside } from "../node/setAside.ts"
import type { VolumeFile } from "../pod/PodAssignment.ts"
import { carriesSecrets } from "../pod/resolve/carriesSecrets.ts"
import type { Notice, Resolution, ResolveSettings, Sources } from "../pod/resolve/Resolution.ts"
import { resolvePod } from "../pod/resolve/resolvePod.ts"
import { askWithin } from "./askDevice.ts"
import type { AssignmentTurns } from "./assignmentTurns.ts"
import type { Bell } from "./Bell.ts"
import type { DeviceContext } from "./DeviceContext.ts"
import { EventRecorder } from "./EventRecorder.ts"
import { OperatorSettings } from "./OperatorSettings.ts"
import { PodIndex } from "./PodIndex.ts"
import { podSources } from "./podSources.ts"
import { isTerminal, podWrites } from "./podWrites.ts"

/** What the device holds. */
export interface Holdings {
  /** Undefined: it does not hold this pod. Empty: it may. */
  readonly hashOf: (uid: string) => string | undefined
  /** Whether the device has said in this session what it holds. */
  readonly known: () => boolean
  /** Whether the device has said, in whichever session, that it does not hold this pod, and nobody has asked it to since. */
  readonly lacks: (uid: string) => boolean
  /** It was asked to hold it, and has not answered. */
  readonly assigning: (uid: string) => void
  readonly assigned: (uid: string, hash: string) => void
  readonly forgotten: (uid: string) => void
  /** Whether the device has said that nothing of this pod runs any more, and it is written. */
  readonly finished: (uid: string) => boolean
  /** Whether the device says that the pod is not over. */
  readonly goesOn: (uid: string) => boolean
  /** Lets the device forget a pod that is gone from the API, if the last that is to be told of it has been told. */
  readonly release: (uid: string) => Effect.Effect<void>
  /** Says again what the device said of this pod, where somebody else has written over it. */
  readonly reassert: (pod: Pod) => Effect.Effect<void, KubeApiError>
}

/** Where a pod lives, or lived, in the API; and how long it may take to end. */
export interface PodPlace {
  readonly namespace: string
  readonly name: string
  readonly graceSeconds: number
}

/** What asking again in this session does not mend. */
const isForGood = ({ reason }: LinkError) => reason === "TooLarge"
const isRefusal = (error: LinkError) => isForGood(error) || error.reason === "Refused"

const refusal = ({ detail, reason }: LinkError) =>
  reason === "TooLarge"
    ? `the pod does not fit the one message in which its device is told of it: ${detail}. Let it use fewer or smaller `
      + "ConfigMaps and Secrets, or only some keys of them (items)"
    : `the device refuses the pod: ${detail}`

const silence = ({ detail }: LinkError) =>
  `the device did not take the pod, twice in a row: ${detail}. It is told again; a line that is so slow may need a longer `
  + "spec.connectivity.timers.unarySessionTimeout"

const again = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("1 minute")]).pipe(Schedule.jittered)

/** What a step goes by, and a change of which makes it another; what becomes of the pod meanwhile does not. */
const wishes = (pod: Pod | undefined) =>
  pod === undefined
    ? ""
    : JSON.stringify([pod.metadata.deletionTimestamp, pod.metadata.deletionGracePeriodSeconds, pod.spec])

/** What the API has and no watch has told of may go without a word, too: it is looked at so often. */
const unseenMillis = 60_000

/** The token files of each volume, and one text that changes when any of them does. */
const tokenFiles = (resolution: Resolution & { readonly _tag: "Assigned" }, sources: Sources) => {
  const volumes = new Map<string, { readonly files: Array<VolumeFile>; text: string }>()
  for (const { mode, need, path, volume } of resolution.tokens) {
    const answer = sources.token(need)
    if (answer === undefined || !("token" in answer)) continue
    const entry = volumes.get(volume) ?? { files: [], text: "" }
    entry.files.push({ path, mode, content: new TextEncoder().encode(answer.token), token: true })
    entry.text += `${path} ${answer.token} `
    volumes.set(volume, entry)
  }
  return volumes
}

export const keepPod = Effect.fnUntraced(function*(
  context: DeviceContext,
  uid: string,
  options: {
    readonly bell: Bell
    readonly holdings: Holdings
    readonly assignInTurn: AssignmentTurns
    readonly place: () => PodPlace | undefined
    readonly resolveSettings: () => ResolveSettings
  }
) {
  const { bell, holdings } = options
  const settings = yield* OperatorSettings
  const index = yield* PodIndex
  const events = yield* EventRecorder
  const { exists, finalise, find, isOnNode, tolerate, writeStatus } = yield* podWrites
  const sources = yield* podSources(() => bell.ring())
  const ask = askWithin(context)

  const told = new Set<string>()
  /** An event that says the same as before is not said again. */
  const notify = (pod: Pod, notice: Notice) => {
    const key = `${notice.reason} ${notice.fieldPath} ${notice.message}`
    if (told.has(key)) return Effect.void
    if (told.size > 32) told.clear()
    told.add(key)
    return events.record({
      about: {
        apiVersion: "v1",
        kind: "Pod",
        namespace: pod.metadata.namespace ?? "",
        name: pod.metadata.name ?? "",
        uid,
        ...(notice.fieldPath === "" ? {} : { fieldPath: notice.fieldPath })
      },
      type: notice.type,
      reason: notice.reason,
      message: notice.message,
      host: context.name
    })
  }

  let written = ""
  /** Status that the operator itself gives, before the device has any: written once for as long as it says the same. */
  const say = Effect.fnUntraced(function*(pod: Pod, status: PodStatus) {
    const text = JSON.stringify(status)
    // What is not seen to run here may run under another operator.
    if (text === written || !(yield* context.hold.standsYet)) return
    const now = timestamp(yield* Clock.currentTimeMillis)
    yield* writeStatus(context.hold, pod, { ...status, startTime: pod.status?.startTime ?? now })
    written = text
  })

  const waitingStatus = (pod: Pod, resolution: Resolution & { readonly _tag: "Waiting" }): PodStatus => {
    const waits = (containers: Pod["spec"]["containers"]) =>
      containers.map(({ image = "", name }) => ({
        name,
        image,
        imageID: "",
        ready: false,
        started: false,
        restartCount: 0,
        state: {
          waiting: resolution.container === undefined || resolution.container === name
            ? { reason: resolution.reason, message: resolution.message }
            // The device is told of the pod as a whole, or not yet.
            : { reason: "ContainerCreating", message: `waits until container "${resolution.container}" can be made` }
        }
      }))
    return {
      phase: "Pending",
      containerStatuses: waits(pod.spec.containers),
      ...(pod.spec.initContainers === undefined ? {} : { initContainerStatuses: waits(pod.spec.initContainers) })
    }
  }

  let ending: { readonly session: Session; readonly graceSeconds: number } | undefined
  /** Ends the pod on the device; the report that it has ended does the rest. */
  const end = Effect.fnUntraced(function*(session: Session, graceSeconds: number) {
    // Once per session and grace: a shorter grace is a new wish.
    if (ending?.session === session && ending.graceSeconds <= graceSeconds) return
    const answer = yield* ask(session, { _tag: "RemovePod", uid, graceSeconds })
    if (answer._tag === "NotHeld") {
      holdings.forgotten(uid)
      return bell.ring()
    }
    ending = { session, graceSeconds }
  })

  /** The epoch in which the API itself, not the watch, has told that the pod exists, and since when the device was not given it. */
  let metUnder: number | undefined

  /** Whether the API has another version of the pod than was thought; it is looked at anew then. */
  const wasBehind = Effect.fnUntraced(function*({ metadata: { name = "", namespace = "", resourceVersion } }: Pod) {
    const epoch = context.hold.epoch()
    const now = yield* find(namespace, name, uid)
    if (now !== undefined) metUnder = epoch
    if (now?.metadata.resourceVersion === resourceVersion) return false
    if (now !== undefined) index.learn(now)
    return true
  })

  /**
   * Whether the API may know better what becomes of the pod: what the device holds may have been given by another operator, and what
   * the device does not hold may have ended, under that one or this, and be gone.
   */
  const mayBeBehind = () =>
    holdings.hashOf(uid) !== undefined || metUnder === undefined || metUnder !== context.hold.epoch()

  /** Assignments in a row that found the device there and were not answered in time. */
  let unanswered = 0

  /** What the device did not take in this session, and whether it never will. */
  let refused: { readonly session: Session; readonly hash: string; readonly forGood: boolean } | undefined

  /** The tokens the device has from here, by volume. */
  const rotated = new Map<string, string>()

  /** The pod as the step that is under way, or was last, has met it. */
  let met: Pod | undefined
  const isAnother = () => {
    const now = index.byUid(uid)
    return now !== met && wishes(now) !== wishes(met)
  }
  /** Gives up what takes long once something else is to be done; nothing then. */
  const unlessAnother = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<Option.Option<A>, E, R> =>
    Effect.raceFirst(Effect.as(bell.until(isAnother), Option.none()), Effect.asSome(work))

  /** Milliseconds until the next look, if nothing is heard before; each look says it anew. */
  let due: Effect.Effect<number | undefined> = Effect.undefined

  const assign = Effect.fnUntraced(function*(session: Session, pod: Pod) {
    due = sources.due
    const gathered = yield* sources.gather(pod, { tokens: options.resolveSettings().allowServiceAccountTokens })
    if (gathered === undefined) return
    const resolution = yield* resolvePod(withoutAside(pod), gathered, options.resolveSettings())
    for (const notice of resolution.notices) yield* notify(pod, notice)
    switch (resolution._tag) {
      case "Assigned": {
        const { assignment } = resolution
        const tokens = tokenFiles(resolution, gathered)
        if (holdings.hashOf(uid) !== assignment.hash) {
          const before = refused?.session === session && refused.hash === assignment.hash
          if (before && refused?.forGood === true) return
          const tellFailure = (error: LinkError) => {
            const failed = (message: string) =>
              notify(pod, { type: "Warning", reason: "FailedSync", message, fieldPath: "" })
            if (error.reason === "Timeout") {
              if (!SubscriptionRef.getUnsafe(session.connected)) return Effect.void
              unanswered += 1
              return unanswered === 2 ? failed(silence(error)) : Effect.void
            }
            unanswered = 0
            if (!isRefusal(error)) return Effect.void
            refused = { session, hash: assignment.hash, forGood: isForGood(error) }
            return before ? Effect.void : failed(refusal(error))
          }
          const asking = Effect.gen(function*() {
            // Once it is its turn, which may be long after it was looked at.
            if (mayBeBehind() && (yield* wasBehind(pod))) return undefined
            // What the next one says that it holds is not to be forgotten for this one's sake.
            if (SubscriptionRef.getUnsafe(context.session) !== session) return undefined
            // Until it answers, and when it never does, the device may hold it: only the device's own word settles that.
            const held = holdings.hashOf(uid)
            holdings.assigning(uid)
            return yield* ask(session, { _tag: "AssignPod", assignment }, {
              priority: "assignment",
              compress: !carriesSecrets(pod, assignment)
            }).pipe(
              Effect.tapError(tellFailure),
              // Nothing of it has left: the device holds what it held.
              Effect.catchIf(isForGood, () =>
                Effect.sync(() => {
                  if (held === undefined) holdings.forgotten(uid)
                  else holdings.assigned(uid, held)
                  return undefined
                }))
            )
          })
          const answer = yield* unlessAnother(options.assignInTurn(assignment)(asking))
          // What it was told of a pod that is to be another, or to end, is overtaken by what it is told next.
          if (Option.isNone(answer) || answer.value === undefined) return
          unanswered = 0
          if (answer.value._tag === "NotHeld") return holdings.forgotten(uid)
          holdings.assigned(uid, assignment.hash)
          // From here on it may end and be gone before the watch tells of either.
          metUnder = undefined
        } else {
          // Rotated tokens are outside the hash and travel alone; so do those of a device that another operator served before, as
          // what that one sent may be about to expire.
          for (const [volume, { files, text }] of tokens) {
            if (rotated.get(volume) === text) continue
            const telling = ask(session, { _tag: "Tokens", uid, volume, files }, { compress: false })
            if (Option.isNone(yield* unlessAnother(telling))) return
          }
        }
        for (const [volume, { text }] of tokens) rotated.set(volume, text)
        return
      }
      // A pod that runs already goes on with what it was given, also where an operator of another version gave it.
      case "Waiting":
        if (holdings.hashOf(uid) !== undefined) return
        return yield* say(pod, waitingStatus(pod, resolution))
      case "Refused":
        if (holdings.hashOf(uid) !== undefined) return
        return yield* say(pod, {
          phase: "Failed",
          reason: resolution.reason,
          message: `Pod was rejected: ${resolution.message}`
        })
    }
  })

  const excluded = (pod: Pod) => settings.excludedNamespaces.includes(pod.metadata.namespace ?? "")

  /** One look and one step. True when there is nothing left to keep. */
  const step = Effect.gen(function*(): Effect.fn.Return<boolean, KubeApiError | LinkError, Cryptography> {
    const pod = index.byUid(uid)
    met = pod
    const session = yield* SubscriptionRef.get(context.session)
    const held = holdings.hashOf(uid) !== undefined

    if (pod === undefined) {
      // Gone from the API, by force or while nobody looked: what still runs on the device has to end. Of what it does not hold nothing
      // is left to keep, however long it is away: should it tell otherwise when it is back, that is looked at then.
      if (session === undefined) return holdings.lacks(uid)
      if (!holdings.known()) return false
      if (!held) return true
      // A watch that has not caught up must not end anything: the API itself has to say that the pod is gone. A pod never
      // seen here waits until the device has told its name, which it does not know of one that it cannot read.
      const place = options.place()
      if (place === undefined && holdings.hashOf(uid) !== "") return false
      const isThere = place === undefined ? isOnNode(context.name, uid) : exists(place.namespace, place.name, uid)
      if (yield* isThere) {
        due = Effect.succeed(unseenMillis)
        return false
      }
      yield* end(session, place?.graceSeconds ?? 30)
      // One that had ended before it was deleted has nothing more to tell.
      yield* holdings.release(uid)
      return false
    }
    const { deletionGracePeriodSeconds, deletionTimestamp, namespace = "" } = pod.metadata
    if (excluded(pod)) {
      if (deletionTimestamp !== undefined) yield* finalise(pod)
      else {
        yield* notify(pod, {
          type: "Warning",
          reason: "NamespaceExcluded",
          message: `pods of namespace ${namespace} are not run on devices`,
          fieldPath: ""
        })
      }
      return false
    }
    if (deletionTimestamp !== undefined) {
      if (session === undefined || !holdings.known()) return false
      if (held) {
        yield* end(session, deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30)
        // Its last word came before its deletion was heard of, and is not said again.
        if (holdings.finished(uid)) {
          yield* finalise(pod)
          yield* holdings.release(uid)
        } else yield* holdings.reassert(pod)
      } else if ((yield* exists(namespace, pod.metadata.name ?? "", uid)) && (yield* context.hold.standsYet)) {
        yield* finalise(pod)
      }
      return false
    }
    if (isTerminal(pod) && !held) return false
    // Its last pods are ending, or have: nothing begins on a device that is about to be wiped.
    if (context.leaving()) return false
    if (session === undefined || !holdings.known()) return false
    // What a device has decides how some fields resolve: its report comes at the beginning of each session.
    if ((yield* SubscriptionRef.get(context.nodeReport)) === undefined) return false
    // What is over in the API never runs again, as with a kubelet: a disk that forgot may have begun it anew.
    if (isTerminal(pod) && holdings.goesOn(uid)) {
      yield* end(session, pod.spec.terminationGracePeriodSeconds ?? 30)
      return false
    }
    const assigned = yield* Effect.result(assign(session, pod))
    // What the device said last holds, whether it can take what it is told now or not.
    yield* holdings.reassert(pod)
    if (assigned._tag === "Failure") return yield* assigned.failure
    return false
  })

  /** Nothing waits for the tolerations, but they are not forgotten: whether the device ever came does not matter to them. */
  const look = Effect.gen(function*() {
    // Pods of a Node that is somebody else's go nowhere: they may hold what is not meant for this device.
    if ((yield* SubscriptionRef.get(context.owned)) !== true) return false
    const pod = index.byUid(uid)
    const epoch = context.hold.epoch()
    const tolerated = yield* Effect.result(
      pod === undefined || isTerminal(pod) || excluded(pod) ? Effect.succeed(false) : tolerate(pod)
    )
    if (tolerated._tag === "Success" && tolerated.success) metUnder = epoch
    const done = yield* step
    if (tolerated._tag === "Failure") {
      // Somebody wrote it at the same moment.
      if (tolerated.failure.retryable || tolerated.failure.reason === "Conflict") return yield* tolerated.failure
      yield* Effect.logDebug(`tolerations of pod ${uid} on ${context.key}: ${tolerated.failure.message}`)
    }
    return done
  })

  /** A lost session is a new situation, as is a pod that is gone: look again when the bell rings. */
  const isWorthAPause = (error: KubeApiError | LinkError) =>
    error._tag === "LinkError"
      ? error.reason !== "SessionLost" && error.reason !== "Closed"
      : error.reason !== "NotFound"

  /** Looks until nothing fails, with growing pauses; none of them holds up what is another step. */
  const patientStep = Effect.gen(function*() {
    let pause = yield* Schedule.toStepWithSleep(again)
    while (true) {
      const looked = yield* Effect.result(look)
      if (looked._tag === "Success") return looked.success
      const { failure } = looked
      if (!isWorthAPause(failure)) {
        yield* Effect.logDebug(`pod ${uid} on ${context.key} waits: ${failure.message}`)
        return false
      }
      yield* Effect.logDebug(`pod ${uid} on ${context.key}: ${failure.message}`)
      // The schedule has no end.
      const paused = yield* unlessAnother(Effect.ignore(pause(failure)))
      if (Option.isNone(paused)) pause = yield* Schedule.toStepWithSleep(again)
    }
  })

  while (true) {
    // Whoever does not come to do anything about its tokens waits for news, such as that the device is back, however old they grow.
    due = Effect.undefined
    if (yield* patientStep) return
    const left = yield* due
    yield* left === undefined ? bell.heard : Effect.timeoutOption(bell.heard, Duration.millis(Math.max(1000, left)))
  }
}, Effect.scoped)
