/** Runs whole pods over a ContainerRuntime, by the journal and the adoption rule, with or without a cloud. */
import { Cause, Duration, Effect, Equal, FiberMap, Latch, Layer, Schedule, Semaphore, Stream } from "effect"
import { HostFacts } from "../../agent/HostFacts.ts"
import { Journal, type JournalError } from "../../agent/Journal.ts"
import { isOver, readLeash } from "../../agent/leash.ts"
import { ContainerRuntime } from "../ContainerRuntime.ts"
import type { PodAssignment, VolumeFile } from "../PodAssignment.ts"
import { PodFiles } from "../PodFiles.ts"
import { PodRuntime } from "../PodRuntime.ts"
import { makeEventBuffer } from "./EventBuffer.ts"
import { patientRuntime } from "./patientRuntime.ts"
import { PodMachineOptions } from "./PodMachineOptions.ts"
import type { PodRecord } from "./PodState.ts"
import { makePodStore } from "./PodStore.ts"
import { podStreams } from "./podStreams.ts"
import { podUsage } from "./podUsage.ts"
import { makePodWorker, type PodWorker } from "./PodWorker.ts"
import { removeOrphans, removePods } from "./removeOrphans.ts"
import { makeReportBoard } from "./ReportBoard.ts"
import { restUnreadable } from "./restUnreadable.ts"
import { sparingFollowers } from "./sparingFollowers.ts"
import { type Machine, monotonicMillis, wallMillis } from "./Workbench.ts"

/** How many removals are remembered: an assignment is overtaken only by what is asked within the same session. */
const mostPast = 1024

const make = Effect.gen(function*() {
  const files = yield* PodFiles
  const journal = yield* Journal
  const hostFacts = yield* HostFacts
  const options = yield* PodMachineOptions
  const runtime = sparingFollowers(patientRuntime(yield* ContainerRuntime, options.callMillis))

  const again = Schedule.min([
    Schedule.exponential(Duration.millis(options.retry.first)),
    Schedule.spaced(Duration.millis(options.retry.most))
  ]).pipe(Schedule.jittered)
  /** What has to be in the journal is tried until it is: a full disk is emptied some day. */
  const durably = <A>(save: Effect.Effect<A, JournalError>): Effect.Effect<A> =>
    save.pipe(
      Effect.tapError((error) => Effect.logWarning(error.message)),
      Effect.retry(again),
      Effect.orDie
    )

  let host = yield* hostFacts.info
  const store = yield* durably(makePodStore(journal))
  /** Decided before the first look at any pod: after a reboot nothing begins for a moment only to be ended. */
  let resting = isOver(
    yield* durably(Effect.provideService(readLeash(host.bootId), Journal, journal)),
    yield* monotonicMillis
  )
  const board = yield* makeReportBoard
  const events = yield* makeEventBuffer(options.events)
  const fibers = yield* FiberMap.make<string>()
  const workers = new Map<string, PodWorker>()
  /** Pods come and go one at a time. */
  const door = yield* Semaphore.make(1)
  let order = Math.max(0, ...store.all().map(({ pod }) => pod.order))

  /** How many sessions began; each has its say on every pod anew. */
  let sessions = 0
  /** Pods that were removed before they came, or came and went, and when: what was on its way for them then begins nothing. */
  const past = new Map<string, number>()
  const neverBegin = (uid: string) => {
    past.delete(uid)
    past.set(uid, sessions)
    for (const oldest of past.keys()) {
      if (past.size <= mostPast) return
      past.delete(oldest)
    }
  }

  /** Nobody knows how such a pod would have to end, but that nothing of it may run once it is said not to be held. */
  const removeUnreadable = (uid: string, graceSeconds: number) =>
    Effect.suspend(() => removePods(machine, (each) => each === uid, Math.max(1, Math.floor(graceSeconds)))).pipe(
      Effect.tapError((error) => Effect.logDebug(`pod ${uid} is removed again later: ${error.message}`)),
      Effect.retry(again),
      Effect.orDie,
      Effect.andThen(durably(store.forget(uid)))
    )

  /** Where the disk is full the pod begins to end all the same; it may be asked for again. */
  const remove = Effect.fnUntraced(function*(uid: string, graceSeconds: number) {
    if (store.get(uid) === undefined) {
      neverBegin(uid)
      // It may be on its way into the journal.
      yield* door.withPermit(Effect.void)
      if (store.get(uid) === undefined) {
        if (store.unreadable.has(uid)) yield* removeUnreadable(uid, graceSeconds)
        return false
      }
    }
    const since = yield* monotonicMillis
    const end = ending(Math.max(1, Math.floor(graceSeconds)), since)
    const saved = yield* Effect.uninterruptible(
      Effect.tap(Effect.result(store.savePod(uid, end)), ({ _tag }) =>
        Effect.sync(() => {
          if (_tag === "Failure") store.touch(uid, end)
          workers.get(uid)?.urge()
        }))
    )
    if (saved._tag === "Failure") yield* durably(store.savePod(uid, (pod) => pod))
    return true
  })

  const wakeAll = () => workers.forEach((worker) => worker.wake())

  const machine: Machine = {
    runtime,
    files,
    options,
    store,
    board,
    events,
    pulls: yield* Semaphore.make(options.parallelPulls),
    host: () => host,
    displace: (uid) => {
      const state = store.get(uid)
      return state === undefined || state.pod.ending?.deleted === true
        ? Effect.void
        : Effect.asVoid(remove(uid, state.assignment.terminationGracePeriodSeconds))
    },
    resting: () => resting,
    released: wakeAll
  }

  const toRest = yield* Latch.make(resting)
  const rest = (wanted: boolean) =>
    Effect.sync(() => {
      if (resting === wanted) return
      resting = wanted
      if (wanted) toRest.openUnsafe()
      for (const worker of workers.values()) {
        if (wanted) worker.urge()
        else worker.wake()
      }
    })

  /** The pod's fiber owns everything that is done for it. */
  const supervise = (uid: string) =>
    makePodWorker(machine, uid).pipe(
      Effect.flatMap(({ run, worker }) => {
        workers.set(uid, worker)
        return run
      }),
      Effect.scoped,
      Effect.interruptible,
      (fiber) => FiberMap.run(fibers, uid, fiber)
    )

  /** As one: a caller that gives up in between would leave the pod's fiber with the version before, and an equal one changes nothing. */
  const change = (assignment: PodAssignment) =>
    durably(Effect.uninterruptible(
      Effect.andThen(store.saveAssignment(assignment), Effect.sync(() => workers.get(assignment.uid)?.updated()))
    ))

  const ensureIn = Effect.fnUntraced(function*(session: number, told: PodAssignment) {
    const { uid } = told
    const held = store.get(uid)
    const assignment = held === undefined ? told : withEphemeralOf(held.assignment, told)
    if (held !== undefined) {
      if (Equal.equals(held.assignment, assignment)) return true
      yield* change(assignment)
      return true
    }
    if ((past.get(uid) ?? -1) >= session) return false
    order += 1
    const pod = {
      order,
      stage: "Sync" as const,
      startedAt: yield* wallMillis,
      activeMillis: 0,
      activeStamp: yield* monotonicMillis,
      bootId: host.bootId,
      sandboxAttempt: 0,
      sandboxId: "",
      containersRemoved: false
    }
    // What is in the journal has its fiber, whatever becomes of the caller.
    const added = store.add({ assignment, pod, containers: new Map() }).pipe(Effect.andThen(supervise(uid)))
    yield* durably(Effect.uninterruptible(added))
    return true
  }, door.withPermit)
  const ensure = (told: PodAssignment) => Effect.suspend(() => ensureIn(sessions, told))

  /** Kept in the assignment too: a later life of the agent must not bring the old token back. */
  const rotate = Effect.fnUntraced(function*(uid: string, volume: string, files: ReadonlyArray<VolumeFile>) {
    const held = store.get(uid)
    if (held === undefined) return
    const fresh = new Map(files.map((file) => [file.path, file]))
    yield* change({
      ...held.assignment,
      volumes: held.assignment.volumes.map((each) =>
        each._tag === "Files" && each.name === volume
          ? { ...each, files: each.files.map((file) => fresh.get(file.path) ?? file) }
          : each
      )
    })
  }, door.withPermit)

  const sweep = yield* Latch.make(false)
  const forget = Effect.fnUntraced(function*(uid: string) {
    neverBegin(uid)
    const cleared = store.get(uid)?.pod.containersRemoved ?? !store.unreadable.has(uid)
    yield* durably(Effect.uninterruptible(Effect.andThen(
      store.forget(uid),
      Effect.gen(function*() {
        workers.delete(uid)
        board.remove(uid)
        yield* FiberMap.remove(fibers, uid)
        wakeAll()
        // Forgotten before it was removed, as one is that had ended by itself: its dead containers are nobody's now.
        if (!cleared) yield* sweep.open
      })
    )))
  }, door.withPermit)

  for (const { assignment, pod } of store.all()) {
    if (pod.report !== undefined) board.put(pod.report)
    yield* supervise(assignment.uid)
  }

  yield* runtime.events.pipe(
    Stream.runForEach(({ kind, uid }) => Effect.sync(() => workers.get(uid)?.hint(kind))),
    Effect.forkScoped
  )
  // Of what the journal has lost, be it all or the last it was told, the operator knows, and is given some time to say so.
  yield* Effect.andThen(sweep.close, removeOrphans(machine)).pipe(
    Effect.catchCause((cause) => Effect.logDebug(`orphans are looked for again later: ${Cause.pretty(cause)}`)),
    Effect.andThen(Effect.timeoutOption(sweep.await, Duration.millis(options.resyncMillis))),
    Effect.forever,
    Effect.delay(Duration.millis(options.resyncMillis)),
    Effect.forkScoped
  )
  yield* toRest.await.pipe(
    Effect.andThen(toRest.close),
    Effect.andThen(
      restUnreadable(machine).pipe(
        Effect.tapError((error) =>
          Effect.logDebug(`pods that cannot be read are stopped again later: ${error.message}`)
        ),
        Effect.retry(again),
        Effect.orDie
      )
    ),
    Effect.forever,
    Effect.forkScoped
  )
  yield* Effect.sleep(Duration.millis(options.resyncMillis)).pipe(
    Effect.andThen(hostFacts.info),
    Effect.map((info) => {
      const moved = !Equal.equals(info.addresses, host.addresses)
      host = info
      if (moved) wakeAll()
    }),
    Effect.forever,
    Effect.forkScoped
  )

  return PodRuntime.of({
    beginSession: Effect.sync(() => void (sessions += 1)),
    ensure,
    rotate,
    remove,
    forget,
    rest,
    held: Effect.sync(() => [
      ...store.all().map(({ assignment: { hash, uid } }) => ({ uid, hash })),
      ...Array.from(store.unreadable, (uid) => ({ uid, hash: "" }))
    ]),
    reports: board.reports,
    events: events.events,
    ...podStreams(runtime, store),
    usage: Effect.map(runtime.usage, (usages) => podUsage(store.all(), usages))
  })
})

/** Ephemeral containers are added and never taken away, also where what one is made of is not there any more. */
const withEphemeralOf = (held: PodAssignment, told: PodAssignment): PodAssignment => {
  const gone = held.ephemeralContainers.filter(({ name }) =>
    !told.ephemeralContainers.some((container) => container.name === name)
  )
  return gone.length === 0 ? told : { ...told, ephemeralContainers: [...gone, ...told.ephemeralContainers] }
}

/** The pod is to go. The end lies where the earliest of all requests puts it. */
const ending = (graceSeconds: number, since: number) => (pod: PodRecord): PodRecord => {
  const before = pod.ending
  const stage = pod.stage === "Sync" ? "Terminating" : pod.stage
  if (before === undefined) {
    return { ...pod, stage, ending: { deleted: true, graceSeconds, since, reason: "", message: "" } }
  }
  const sooner = since + graceSeconds * 1000 < before.since + before.graceSeconds * 1000
  return { ...pod, stage, ending: { ...before, deleted: true, ...(sooner ? { graceSeconds, since } : {}) } }
}

export class PodMachine {
  static readonly layer: Layer.Layer<PodRuntime, never, ContainerRuntime | PodFiles | Journal | HostFacts> = Layer
    .effect(PodRuntime, make)
}
