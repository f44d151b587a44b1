/** One look at a pod that shall run: see what is there, decide, act. Says how long nothing needs to be done, in milliseconds. */
import { Cause, Effect, FiberMap } from "effect"
import type { JournalError } from "../../agent/Journal.ts"
import type { RuntimeError } from "../ContainerRuntime.ts"
import type { FilesError } from "../PodFiles.ts"
import { collectGarbage } from "./collectGarbage.ts"
import { ensureSandbox, observeSandbox } from "./ensureSandbox.ts"
import { ensureVolumes } from "./ensureVolumes.ts"
import { observeContainers } from "./observeContainers.ts"
import { planPod, type Start, type Stop, type Waiting } from "./planPod.ts"
import type { PodState } from "./PodState.ts"
import { publishStatus } from "./publishStatus.ts"
import { retryDelay } from "./retryDelay.ts"
import { startContainer } from "./startContainer.ts"
import { stopContainer } from "./stopContainer.ts"
import {
  activeMillis,
  beginEnd,
  leaveWork,
  look,
  monotonicMillis,
  savePod,
  stateOf,
  tellOnce,
  type Workbench
} from "./Workbench.ts"

type Failure = RuntimeError | JournalError | FilesError

const none: ReadonlyMap<string, Waiting> = new Map()

export const keepPod = Effect.fnUntraced(function*(bench: Workbench): Effect.fn.Return<number, Failure> {
  const state = yield* stateOf(bench)
  const older = olderNamesake(bench, state)
  if (older !== undefined) {
    yield* bench.displace(older.assignment.uid)
    yield* publishStatus(bench, none, false)
    return Number.POSITIVE_INFINITY
  }

  for (const container of [...state.assignment.initContainers, ...state.assignment.containers]) {
    const hash = bench.busy.get(container.name)
    if (hash !== undefined && hash !== container.specHash) {
      yield* leaveWork(bench, container.name)
      bench.waiting.delete(container.name)
    }
  }
  const resting = bench.resting()
  if (resting) {
    yield* leaveWork(bench)
    bench.waiting.clear()
  }
  yield* observeSandbox(bench)
  const { busy, containers, refused, strays, verdicts } = yield* observeContainers(bench)
  const deadline = yield* untilDeadline(bench)
  if (deadline <= 0) {
    yield* exceed(bench)
    return 0
  }

  const now = yield* look
  const seen = yield* stateOf(bench)
  const plan = planPod({
    state: seen,
    verdicts,
    strays,
    sandboxReady: bench.sandbox?.ready ?? false,
    busy,
    rested: (name, { attempt, result }) =>
      result === undefined ? 0 : bench.times.rested(name, attempt, result.finishedAt, now),
    crashBackOff: bench.options.crashBackOff,
    resting: resting ? { settleMillis: bench.options.settleMillis } : undefined
  })
  if (plan.over) {
    const grace = seen.assignment.terminationGracePeriodSeconds
    yield* beginEnd(bench, { deleted: false, graceSeconds: grace, reason: "", message: "" })
    return 0
  }

  for (const [name, waiting] of plan.waiting) {
    bench.waiting.set(name, waiting)
    const attempt = seen.containers.get(name)?.attempt ?? 0
    const { name: pod, namespace, uid } = seen.assignment
    yield* tellBackOff(
      bench,
      name,
      attempt,
      `Back-off restarting failed container ${name} in pod ${pod}_${namespace}(${uid})`
    )
  }
  // Before anything else that the journal may refuse: what has to stop does not wait for the disk.
  yield* Effect.forEach(plan.stops, (stop) => act(bench, stop, resting), { discard: true })
  if (refused !== undefined) return yield* refused
  yield* publishStatus(bench, bench.waiting, false)

  if (bench.volumes === undefined && (plan.starts.length > 0 || bench.busy.size > 0 || bench.running.size > 0)) {
    yield* ensureVolumes(bench)
  }
  if (plan.starts.length > 0) {
    if (bench.sandbox?.ready !== true) {
      // What still runs in the lost sandbox has to end first; that wakes us.
      if (bench.running.size > 0 || bench.stopDeadlines.size > 0) return deadline
      yield* leaveWork(bench)
      return Math.min(yield* prepareSandbox(bench, seen), deadline)
    }
    for (const start of plan.starts) yield* launch(bench, start)
  }
  yield* collectGarbage(bench, containers)
  return Math.min(plan.wakeAfter ?? Number.POSITIVE_INFINITY, deadline)
})

/** A pod that has this one's name and came earlier; it has to be gone first. */
const olderNamesake = (bench: Workbench, { assignment, pod }: PodState): PodState | undefined =>
  bench.store.all().find((other) =>
    other.assignment.uid !== bench.uid && other.assignment.name === assignment.name &&
    other.assignment.namespace === assignment.namespace && other.pod.order < pod.order &&
    !(other.pod.report?.finished === true)
  )

const untilDeadline = Effect.fnUntraced(function*(bench: Workbench) {
  const { assignment, pod } = yield* stateOf(bench)
  if (assignment.activeDeadlineSeconds === undefined) return Number.POSITIVE_INFINITY
  const monotonic = yield* monotonicMillis
  const { bootId } = bench.host()
  const active = activeMillis(pod, bootId, monotonic)
  // So that a reboot costs the count at most this much, and a new boot counts; where the journal refuses, the next look tries again.
  if (pod.bootId !== bootId || active - pod.activeMillis >= bench.options.resyncMillis) {
    yield* Effect.ignore(savePod(bench, (before) => before))
  }
  return Math.max(0, assignment.activeDeadlineSeconds * 1000 - active)
})

const exceed = Effect.fnUntraced(function*(bench: Workbench) {
  const { assignment } = yield* stateOf(bench)
  const message = "Pod was active on the node longer than the specified deadline"
  yield* bench.events.emit({ assignment }, "Normal", "DeadlineExceeded", message)
  const graceSeconds = assignment.terminationGracePeriodSeconds
  yield* beginEnd(bench, { deleted: false, graceSeconds, reason: "DeadlineExceeded", message })
})

/** Once for each attempt. */
const tellBackOff = (bench: Workbench, container: string, attempt: number, message: string) =>
  Effect.suspend(() => {
    const key = `backoff ${container}`
    if (bench.told.get(key) === String(attempt)) return Effect.void
    bench.told.set(key, String(attempt))
    const assignment = bench.store.get(bench.uid)?.assignment
    return assignment === undefined
      ? Effect.void
      : bench.events.emit({ assignment, container }, "Warning", "BackOff", message)
  })

const act = Effect.fnUntraced(function*(
  bench: Workbench,
  { cause, container, name }: Stop,
  resting: boolean
) {
  const { assignment, containers } = yield* stateOf(bench)
  const record = containers.get(name)
  const policy = assignment.restartPolicy
  // What is cut short goes on later, however it ended; a pod that may run only once does not. Under Always that needs no note,
  // which would take its back-off away: a sandbox may be lost again and again.
  const again = cause === "Changed" || (cause === "Resting" && policy !== "Never") ||
    (cause === "Sandbox" && policy === "OnFailure")
  if (again && record !== undefined && !record.replacing) {
    const replacing = { ...record, replacing: true }
    const saved = bench.store.saveContainer(bench.uid, name, replacing)
    // A change waits for the journal. What has to rest does not: that it goes on is written with its end.
    yield* !resting
      ? saved
      : Effect.catch(saved, () => Effect.sync(() => bench.store.touchContainer(bench.uid, name, replacing)))
  }
  const message = cause === "Changed"
    ? `Container ${name} definition changed, will be restarted`
    : cause === "Resting"
    ? `Stopping container ${name}: the operator has not been heard for too long`
    : `Stopping container ${name}`
  const deadline = (yield* monotonicMillis) + Math.max(1, assignment.terminationGracePeriodSeconds) * 1000
  yield* stopContainer(bench, container, deadline, message)
})

/** What the device's runtime cannot give at all is refused as a kubelet refuses a pod at admission. */
const prepareSandbox = (bench: Workbench, { containers }: PodState) =>
  ensureSandbox(bench).pipe(
    Effect.catchIf(
      (error): error is RuntimeError =>
        error._tag === "RuntimeError" && error.reason === "Unsupported" && containers.size === 0,
      (error) => Effect.as(reject(bench, error), 0)
    )
  )

const reject = Effect.fnUntraced(function*(bench: Workbench, { message }: RuntimeError) {
  const { assignment } = yield* stateOf(bench)
  const reason = "PodFeatureUnsupported"
  yield* bench.events.emit({ assignment }, "Warning", reason, message)
  const graceSeconds = assignment.terminationGracePeriodSeconds
  yield* beginEnd(bench, { deleted: false, graceSeconds, reason, message: `Pod was rejected: ${message}` })
  yield* bench.urgent.open
})

const launch = Effect.fnUntraced(function*(bench: Workbench, start: Start) {
  const { name } = start.container
  const done = Effect.suspend(() => {
    bench.busy.delete(name)
    return bench.wake.open
  })
  const work = startContainer(bench, start).pipe(
    Effect.tap(() => Effect.sync(() => bench.failures.delete(name))),
    Effect.catch((error) => recover(bench, name, error)),
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.failCause(cause)
        : Effect.andThen(
          Effect.logError(`container ${name} of pod ${bench.uid}: ${Cause.pretty(cause)}`),
          Effect.sleep(bench.options.retry.most)
        )
    ),
    Effect.andThen(done)
  )
  bench.busy.set(name, start.container.specHash)
  yield* FiberMap.run(bench.work, name, Effect.interruptible(work))
  // Who is noted as busy has its fiber, whatever interrupts the caller.
}, Effect.uninterruptible)

/** A failed start is told where it is the container's own, and leads to another try after a while in any case. */
const recover = Effect.fnUntraced(function*(
  bench: Workbench,
  name: string,
  error: Effect.Error<ReturnType<typeof startContainer>>
) {
  const failures = bench.failures.get(name) ?? 0
  bench.failures.set(name, failures + 1)
  const own = error._tag === "ContainerRefused"
    ? { reason: error.reason, message: error.message }
    : error._tag === "RuntimeError" && error.reason === "Unsupported"
    ? { reason: "CreateContainerError", message: error.message }
    : undefined
  if (error._tag === "RuntimeError" && error.reason === "Unsupported") {
    const { assignment, containers } = yield* stateOf(bench)
    const added = assignment.ephemeralContainers.some((container) => container.name === name)
    const nothingRan = !added &&
      [...containers.values()].every(({ attempt, step }) => attempt === 0 && step === "Creating")
    if (nothingRan) return yield* reject(bench, error)
  }
  if (own === undefined) {
    // The engine's or the disk's trouble, not the container's: the status stays as it is.
    yield* Effect.logDebug(`container ${name} of pod ${bench.uid} is tried again: ${error.message}`)
    bench.sandboxStale = true
  } else {
    bench.waiting.set(name, own)
    yield* tellRefusal(bench, name, own)
    yield* bench.wake.open
  }
  yield* Effect.sleep(yield* retryDelay(bench.options.retry, failures))
})

const tellRefusal = Effect.fnUntraced(function*(bench: Workbench, container: string, { message, reason }: Waiting) {
  if (reason === "ErrImageNeverPull") yield* tellOnce(bench, `never ${container}`, { container, reason, message })
  if (reason === "InvalidImageName" || reason === "ImageInspectError") {
    yield* tellOnce(bench, `inspect ${container}`, { container, reason: "InspectFailed", message })
  }
  const shown = reason === "CreateContainerConfigError" || reason === "CreateContainerError" ? message : reason
  yield* tellOnce(bench, `refusal ${container}`, { container, reason: "Failed", message: `Error: ${shown}` })
})
