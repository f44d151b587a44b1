/** The pods of one device: a keeper for each, what the device holds, and what it reports. */
import { Cause, Effect, FiberMap, Queue, Schedule, Schema, SubscriptionRef } from "effect"
import { KubeApi, type KubeApiError } from "../kube/KubeApi.ts"
import { type Pod, Pods, type PodStatus } from "../kube/Pod.ts"
import { Cryptography } from "../link/Cryptography.ts"
import { makeTurns } from "../link/makeTurns.ts"
import type { Session } from "../link/Session.ts"
import { isMirrorPod } from "../node/hostPod.ts"
import type { PodEvent, PodReport } from "../pod/PodReport.ts"
import type { ResolveSettings } from "../pod/resolve/Resolution.ts"
import { holdingsDigest } from "../wire/holdings.ts"
import { askWithin } from "./askDevice.ts"
import { makeAssignmentTurns } from "./assignmentTurns.ts"
import { Bell } from "./Bell.ts"
import type { DeviceContext } from "./DeviceContext.ts"
import { deviceDisconnected } from "./disconnectedPods.ts"
import { EventRecorder } from "./EventRecorder.ts"
import { type Holdings, keepPod, type PodPlace } from "./keepPod.ts"
import { PodIndex } from "./PodIndex.ts"
import { isGone, isTerminal, podWrites } from "./podWrites.ts"
import { statusFor, tellsAddresses } from "./statusFor.ts"

/** Set by an owner on an EdgeDevice to let more than half of its pods be removed at once. */
export const releaseOrphansAnnotation = "aranya.arhat.dev/release-orphans"

/** More than a device has at once: some have just gone. */
const mostKnown = 1024

/** As many pods that no cluster knows a device may tell of at once. */
const mostStrangers = 1024

/** A device could make up so many pods that they fill our memory. */
export class TooManyStrangers extends Schema.TaggedError<TooManyStrangers>()("TooManyStrangers", {}) {
  get reason() {
    return "TooMany" as const
  }
  override get message() {
    return "the device tells of too many pods that are not in the API: of this one again once others have ended"
  }
}

/** Events of one device that are written at a time. */
const eventsAtOnce = 4

/** An event is given up that could not be written so often while others could. */
const mostStrikes = 5
/** A device that tells of events waits a minute for the answer: it comes well before that, whatever the API server does. */
const eventsWithin = "20 seconds"

export class EventsLate extends Schema.TaggedError<EventsLate>()("EventsLate", {}) {
  override get message() {
    return `not all events could be written within ${eventsWithin}: tell them again`
  }
}

/** Fewer than this are removed without a second thought. */
const fewOrphans = 4

/** Nobody waits for a device to forget: it is told with whatever is told next. */
const forgetPatience = 1000

const again = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("1 minute")]).pipe(Schedule.jittered)

const sameBytes = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((byte, i) => byte === b[i])

/**
 * The conditions that others write: the node controller turns Ready to False while it hears nothing of a node. One that was False before
 * its device was away says so still.
 */
const readiness = (status: PodStatus | undefined): string =>
  ["Ready", "ContainersReady"].map((type) => {
    const condition = status?.conditions?.find((condition) => condition.type === type)
    return condition?.reason === deviceDisconnected ? deviceDisconnected : condition?.status ?? ""
  }).join()

export const devicePods = Effect.fnUntraced(function*(
  context: DeviceContext,
  options: {
    readonly resolveSettings: () => ResolveSettings
    /** Whether this pod was given up while the device was away: that it is an orphan is no surprise. */
    readonly wasReplaced: (uid: string) => boolean
    /** Whether the owner lets orphans go that are more than half of the device, or has given it up. */
    readonly mayReleaseOrphans: () => boolean
    /** A mirror pod of this Node changed, came or went: none of them is the device's to run. */
    readonly mirrorChanged: () => void
  }
) {
  const api = yield* KubeApi
  const index = yield* PodIndex
  const events = yield* EventRecorder
  const cryptography = yield* Cryptography
  const { exists, finalise, find, writeStatus } = yield* podWrites
  const ask = askWithin(context)
  const life = yield* Effect.scope
  const keepers = yield* FiberMap.make<string>()
  const bells = new Map<string, Bell>()
  const assignInTurn = makeAssignmentTurns()

  let held: Map<string, string> | undefined
  /** The session in which the device has said so. */
  let learned: Session | undefined
  /** Where each pod lives, or lived, in the API. */
  const places = new Map<string, PodPlace>()
  /** Pods of this device as the API knew them, the last ones; their last events may come after they are gone. */
  const known = new Map<string, { readonly namespace: string; readonly name: string }>()
  /** The newest report of each pod whose status the API has. */
  const reported = new Map<string, PodReport>()
  /** Number of the newest that came, written or not; the device counts anew after it was wiped or its disk forgot something, which its list of what it holds tells. */
  const taken = new Map<string, number>()
  /** Of which the device has told, and the API does not know them; until what is known of each is forgotten again. */
  const strangers = new Set<string>()
  /** What is said of one pod is written one after the other. */
  const oneAtATime = makeTurns()
  /** On the device, absent from the API, and too many to be believed at once. */
  let heldBack = new Set<string>()

  const holdings: Holdings = {
    hashOf: (uid) => held?.get(uid),
    known: () => learned !== undefined && learned === SubscriptionRef.getUnsafe(context.session),
    lacks: (uid) => epoch === context.hold.epoch() && held?.has(uid) === false,
    assigning: (uid) => void held?.set(uid, ""),
    assigned: (uid, hash) => void held?.set(uid, hash),
    forgotten: (uid) => void held?.delete(uid),
    finished: (uid) => reported.get(uid)?.finished === true,
    goesOn: (uid) => {
      const report = reported.get(uid)
      return report !== undefined && !isTerminal(report)
    },
    release: (uid) => held?.has(uid) === true && reported.get(uid)?.finished === true ? forget(uid) : Effect.void,
    reassert: (pod) => reassert(pod)
  }

  const run = yield* FiberMap.runtime(keepers)<
    Effect.Services<ReturnType<typeof keepPod>>
  >()

  /** Nobody waits for a keeper: what it dies of would not be heard of, nor its pod any more. */
  const tellFault = Effect.fnUntraced(function*(uid: string, cause: Cause.Cause<never>) {
    const { name, namespace } = places.get(uid) ?? { name: "", namespace: "" }
    yield* Effect.logError(`pod ${namespace}/${name} (${uid}) on ${context.key} could not be kept`, cause)
    if (name === "") return
    yield* events.record({
      about: { apiVersion: "v1", kind: "Pod", namespace, name, uid },
      type: "Warning",
      reason: "FailedSync",
      message: "the operator met with an internal error at this pod, of which its log tells more; it goes on trying",
      host: context.name
    })
  })

  const mirrors = new Set<string>()

  /** Looks at a pod, with a keeper of its own from the first look on. */
  const look = (uid: string) => {
    const pod = index.byUid(uid)
    // What the watch has told of since was never gone, and is as good as any other from then on.
    if (pod !== undefined) {
      heldBack.delete(uid)
      strangers.delete(uid)
    } else if (heldBack.has(uid)) return
    if (pod === undefined ? mirrors.delete(uid) : isMirrorPod(pod)) {
      if (pod !== undefined) mirrors.add(uid)
      return options.mirrorChanged()
    }
    if (pod !== undefined) {
      const { name = "", namespace = "" } = pod.metadata
      places.set(uid, { namespace, name, graceSeconds: pod.spec.terminationGracePeriodSeconds ?? 30 })
      if (pod.spec.nodeName === context.name) {
        known.delete(uid)
        known.set(uid, { namespace, name })
        const [oldest] = known.keys()
        if (known.size > mostKnown && oldest !== undefined) known.delete(oldest)
      }
    }
    const bell = bells.get(uid)
    if (bell !== undefined) return bell.ring()
    const made = new Bell(Effect.runSync(Queue.sliding<void>(1)))
    bells.set(uid, made)
    run(
      uid,
      keepPod(context, uid, {
        bell: made,
        holdings,
        assignInTurn,
        place: () => places.get(uid),
        resolveSettings: options.resolveSettings
      }).pipe(
        Effect.matchCauseEffect({
          onSuccess: () => Effect.succeed(true),
          onFailure: (cause) =>
            Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause) : Effect.as(tellFault(uid, cause), false)
        }),
        Effect.repeat({ schedule: again, until: (ended) => ended }),
        Effect.ensuring(Effect.sync(() => {
          bells.delete(uid)
          reported.delete(uid)
          taken.delete(uid)
          places.delete(uid)
          strangers.delete(uid)
        }))
      )
    )
  }
  const lookAtAll = () => {
    const there = index.onNode(context.name).map(({ metadata }) => metadata.uid ?? "")
    // A keeper whose pod neither side has any more has to hear of that, to end; so has whoever was only told of.
    for (const uid of new Set([...there, ...held?.keys() ?? [], ...bells.keys(), ...strangers])) look(uid)
  }

  /** Those that the device is being told to forget: the report and the API's word that a pod is gone both say so. */
  const forgetting = new Map<string, Session>()

  const forget = Effect.fnUntraced(function*(uid: string) {
    const session = yield* SubscriptionRef.get(context.session)
    if (session === undefined || forgetting.get(uid) === session) return
    forgetting.set(uid, session)
    yield* ask(session, { _tag: "ForgetPod", uid }, { patienceMillis: forgetPatience }).pipe(
      Effect.andThen(Effect.sync(() => {
        holdings.forgotten(uid)
        look(uid)
      })),
      // Nothing else need ever happen to this pod, until the device links anew.
      Effect.retry({ schedule: again, while: ({ reason }) => reason !== "SessionLost" && reason !== "Closed" }),
      Effect.catch((error) => Effect.logDebug(`pod ${uid} on ${context.key} is not forgotten yet: ${error.message}`)),
      Effect.ensuring(Effect.sync(() => {
        if (forgetting.get(uid) === session) forgetting.delete(uid)
      }))
    )
  })

  /** A pod of which the device tells and no watch has told, as the API has it; undefined where there is none. */
  const meet = Effect.fnUntraced(function*({ name, namespace, uid }: PodReport) {
    const isNew = !strangers.has(uid)
    if (isNew && strangers.size >= mostStrangers) return yield* new TooManyStrangers()
    strangers.add(uid)
    const found = yield* find(namespace, name, uid).pipe(
      Effect.onError(() => Effect.sync(() => isNew && strangers.delete(uid)))
    )
    if (found !== undefined) strangers.delete(uid)
    return found
  })

  /**
   * Takes a status into the API, and the object away once a pod that is being deleted has ended. Fails while the API cannot be
   * written: the device keeps the report and tells it again.
   */
  const take = (report: PodReport): Effect.Effect<void, KubeApiError | TooManyStrangers> =>
    oneAtATime(
      report.uid,
      Effect.gen(function*() {
        const { name, namespace, uid } = report
        // A report that was sent again may overtake its first copy, and newer ones that one.
        if (report.number < (taken.get(uid) ?? 0)) return
        // The watch may not have told of it yet: who had the device before may have been ahead of us.
        const pod: Pod | undefined = index.byUid(uid) ?? (yield* meet(report))
        // Control of one device may falsify only what runs on it: another node's pod is not its to speak for.
        if (pod !== undefined && pod.spec.nodeName !== context.name) {
          return yield* Effect.logWarning(`device ${context.key} speaks of pod ${uid} of another node: not taken`)
        }
        taken.set(uid, report.number)
        if (!places.has(uid)) places.set(uid, { namespace, name, graceSeconds: 30 })
        const gone = pod === undefined
          ? true
          : yield* writeStatus(context.hold, pod, statusFor(context, pod, report)).pipe(
            Effect.as(false),
            Effect.catch((error) =>
              isGone(error)
                ? Effect.flatMap(exists(namespace, name, uid), (still) =>
                  still ? Effect.fail(error) : Effect.succeed(true))
                : Effect.fail(error)
            )
          )
        if (pod !== undefined) {
          reported.set(uid, report)
          // Of what no watch has told its keeper knows only now where to ask for it.
          const unseen = held?.has(uid) === true && index.byUid(uid) === undefined
          if (unseen || (isTerminal(pod) && !isTerminal(report))) {
            look(uid)
          }
        }
        if (report.finished) {
          // What the write returned may be the first that is heard of its deletion.
          const deleted = index.byUid(uid) ?? pod
          if (deleted?.metadata.deletionTimestamp !== undefined) {
            yield* finalise(deleted)
          }
          if (gone || deleted?.metadata.deletionTimestamp !== undefined) {
            yield* Effect.forkIn(forget(uid), life)
          }
        } else if (gone) {
          // It speaks of it, so it has it.
          if (held?.has(uid) === false) {
            holdings.assigning(uid)
          }
          look(uid)
        }
      })
    )

  /** What is to be said again of these waits for a connection; that the session goes on is no news to their keepers. */
  const unsaid = new Set<string>()

  const reassert = (pod: Pod): Effect.Effect<void, KubeApiError> =>
    oneAtATime(
      pod.metadata.uid ?? "",
      Effect.gen(function*() {
        const report = reported.get(pod.metadata.uid ?? "")
        const current = index.byUid(pod.metadata.uid ?? "")
        const session = yield* SubscriptionRef.get(context.session)
        if (report === undefined || current === undefined || session === undefined) return
        // What it said in an earlier session may be old by now: another operator may have heard more since.
        if (!holdings.known()) return
        // A newer one is on its way in, or was written and its answer was lost: it will be told again.
        if (report.number < (taken.get(report.uid) ?? 0)) return
        const status = statusFor(context, current, report)
        if (
          status.phase === current.status?.phase
          && readiness(status) === readiness(current.status)
          && !tellsAddresses(status, current.status)
        ) return
        if (!SubscriptionRef.getUnsafe(session.connected)) return void unsaid.add(report.uid)
        // Whoever wrote that may be the one that has the device now, and the watch be late to say so: two would write for ever.
        if (!(yield* context.hold.standsYet)) return
        yield* writeStatus(context.hold, current, status)
      })
    )

  /** How often each event of the last batch could not be written while others could, by its number. */
  let strikes: ReadonlyMap<number, number> = new Map()

  /** Fails where they may be written later: the device keeps them, and tells them again. */
  const takeEvents = (batch: ReadonlyArray<PodEvent>): Effect.Effect<void, KubeApiError | EventsLate> => {
    const offset = context.clockOffset()
    let passed = 0
    let away: KubeApiError | undefined
    const writing = Effect.forEach(batch, (event) => {
      // Of its own pods only, by the name and namespace the API knows.
      const pod = known.get(event.uid)
      if (pod === undefined) return Effect.succeed({ event, failed: undefined })
      // An API server that takes none of them is not asked for all.
      if (away !== undefined) return Effect.succeed({ event, failed: away })
      return Effect.matchEager(
        events.write({
          about: {
            apiVersion: "v1",
            kind: "Pod",
            ...pod,
            uid: event.uid,
            ...(event.fieldPath === "" ? {} : { fieldPath: event.fieldPath })
          },
          type: event.type,
          reason: event.reason,
          message: event.message,
          // Named from device and number: told twice, it meets 409.
          id: `${context.uid.replaceAll("-", "").slice(0, 12)}${event.number.toString(16)}`,
          at: event.at + offset,
          host: context.name
        }),
        {
          onSuccess: (asked) => {
            if (asked) passed += 1
            return { event, failed: undefined }
          },
          onFailure: (error) => {
            if (passed === 0 && (error.status === 0 || error.status === 429 || error.status === 503)) away = error
            return { event, failed: error }
          }
        }
      )
    }, { concurrency: eventsAtOnce })
    return Effect.gen(function*() {
      const outcomes = yield* Effect.timeoutOrElse(writing, {
        duration: eventsWithin,
        orElse: () => Effect.fail(new EventsLate())
      })
      let left: KubeApiError | undefined
      const failures = new Map<number, number>()
      for (const { event: { number, reason }, failed } of outcomes) {
        if (failed === undefined) continue
        const times = (strikes.get(number) ?? 0) + (passed > 0 ? 1 : 0)
        failures.set(number, times)
        // One that the API server will not have, whatever it answers, must not hold up those behind it.
        if (times < mostStrikes) left = failed
        else yield* Effect.logDebug(`event ${reason} of ${context.key} was not recorded: ${failed.message}`)
      }
      // A device repeats what was not taken, and nothing else is of interest.
      strikes = left === undefined ? new Map() : failures
      if (left !== undefined) return yield* left
    })
  }

  /** What the device says of the number of a pod's newest report holds: it may count anew after its disk forgot something. */
  const recount = (uid: string, number: number) => {
    if (number < (taken.get(uid) ?? 0)) taken.set(uid, number)
    if (number < (reported.get(uid)?.number ?? 0)) reported.delete(uid)
  }

  let epoch: number | undefined
  /** What the device said to another operator, which had it in between, is not known here: what it said before is no longer true. */
  const heldUnder = (now: number | undefined) => {
    if (now === epoch && now !== undefined) return
    epoch = now
    held = undefined
    learned = undefined
    reported.clear()
  }

  /** A session began: learn what the device holds, unless its digest says that we know. */
  const attach = Effect.fnUntraced(function*(session: Session, digest: Uint8Array) {
    // What was asked to be said again and did not come, before the link or the agent broke, is not said by itself any more.
    if (held !== undefined && [...held.keys()].every((uid) => reported.has(uid))) {
      const known = [...held].map(([uid, hash]) => ({ uid, hash, reportNumber: reported.get(uid)?.number ?? 0 }))
      const ours = yield* holdingsDigest(known).pipe(Effect.provideService(Cryptography, cryptography))
      if (sameBytes(ours, digest)) {
        for (const { reportNumber, uid } of known) recount(uid, reportNumber)
        learned = session
        return lookAtAll()
      }
    }
    const reply = yield* ask(session, { _tag: "ListHeld" })
    // What is on its way to the device in this session may come after its answer.
    const underWay = learned === session ? [...held ?? []].filter(([, hash]) => hash === "") : []
    held = new Map([
      ...underWay,
      ...reply._tag === "Held" ? reply.pods.map(({ hash, uid }) => [uid, hash] as const) : []
    ])
    const newest = new Map(reply._tag === "Held" ? reply.pods.map(({ reportNumber, uid }) => [uid, reportNumber]) : [])
    for (const [uid, { number }] of reported) if (newest.get(uid) !== number) reported.delete(uid)
    learned = session
    const numbers = new Map(reply._tag === "Held" ? reply.pods.map((pod) => [pod.uid, pod.reportNumber]) : [])
    for (const uid of new Set([...taken.keys(), ...reported.keys()])) recount(uid, numbers.get(uid) ?? 0)
    const { size } = held
    const unseen = [...held.keys()].filter((uid) => index.byUid(uid) === undefined && !options.wasReplaced(uid))
    const areTooMany = ({ length }: ReadonlyArray<string>) =>
      length >= fewOrphans && length * 2 > size && !options.mayReleaseOrphans()
    heldBack = new Set()
    if (areTooMany(unseen)) {
      // None of them ends while the API itself is asked: the watch may not have told of them yet.
      heldBack = new Set(unseen)
      const found = yield* api.list(Pods, { fieldSelector: `spec.nodeName=${context.name}` })
      const there = new Set(found.map(({ metadata }) => metadata.uid))
      const orphans = unseen.filter((uid) => !there.has(uid))
      heldBack = new Set(areTooMany(orphans) ? orphans : [])
    }
    if (heldBack.size > 0) {
      yield* events.record({
        about: {
          apiVersion: "aranya.arhat.dev/v1alpha1",
          kind: "EdgeDevice",
          namespace: context.namespace,
          name: context.name,
          uid: context.uid
        },
        type: "Warning",
        reason: "OrphansHeld",
        message: `${heldBack.size} of ${size} pods on the device are gone from the API; they go on running. `
          + `If that is right, let them end: kubectl -n ${context.namespace} annotate edgedevice ${context.name} `
          + `${releaseOrphansAnnotation}=true`
      })
    }
    lookAtAll()
  })

  yield* index.serve(context.name, look)
  lookAtAll()

  /** Has the device end a pod, if it holds it; completes when that is durable there. */
  const end = Effect.fnUntraced(function*(session: Session, uid: string) {
    if (held !== undefined && !held.has(uid)) return
    const answer = yield* ask(session, {
      _tag: "RemovePod",
      uid,
      graceSeconds: places.get(uid)?.graceSeconds ?? 30
    })
    if (answer._tag === "NotHeld") holdings.forgotten(uid)
    look(uid)
  })

  /**
   * Has the device end what the API has no more, or is ending: before workloads that rest may go on, for their replacements may run
   * elsewhere. Asks the API itself: the watch may not have told yet.
   */
  const endGone = Effect.fnUntraced(function*(session: Session) {
    // What is assigned from here on may be newer than the answer.
    const before = [...held?.keys() ?? []]
    const found = yield* api.list(Pods, { fieldSelector: `spec.nodeName=${context.name}` })
    const wanted = new Set(
      found.flatMap(({ metadata }) => metadata.deletionTimestamp === undefined ? metadata.uid ?? [] : [])
    )
    const gone = before.filter((uid) => !wanted.has(uid) && !heldBack.has(uid))
    yield* Effect.forEach(gone, (uid) => end(session, uid), { concurrency: 8, discard: true })
  })

  return {
    attach,
    /** A connection carries the session again. */
    carried: Effect.sync(() => {
      const uids = [...unsaid]
      unsaid.clear()
      for (const uid of uids) look(uid)
    }),
    end,
    endGone,
    heldUnder,
    take,
    takeEvents,
    look,
    lookAtAll,
    /** The owner has spoken: what was held back may go. */
    releaseOrphans: Effect.sync(() => {
      heldBack = new Set()
      lookAtAll()
    }),
    /** Pods the device holds; undefined until it has said so. */
    held: () => held === undefined ? undefined : [...held.keys()]
  }
})
