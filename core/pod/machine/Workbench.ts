/** What the work on one pod has at hand: the ports, the memory, and what is known only while the agent runs. */
import { Clock, Effect, FiberMap, Latch, type Scope, type Semaphore } from "effect"
import type { HostInfo } from "../../agent/HostFacts.ts"
import type { JournalError } from "../../agent/Journal.ts"
import type { Container, ContainerRuntime, Sandbox } from "../ContainerRuntime.ts"
import type { PodFiles } from "../PodFiles.ts"
import { ContainerTimes, type Look } from "./ContainerTimes.ts"
import type { ImageBackOff } from "./ensureImage.ts"
import type { EventBuffer } from "./EventBuffer.ts"
import type { Waiting } from "./planPod.ts"
import type { PodMachineOptions } from "./PodMachineOptions.ts"
import type { ContainerResult, Ending, PodRecord, PodState } from "./PodState.ts"
import type { PodStore } from "./PodStore.ts"
import type { ReportBoard } from "./ReportBoard.ts"

/** Shared by all pods. */
export interface Machine {
  readonly runtime: ContainerRuntime["Service"]
  readonly files: PodFiles["Service"]
  readonly options: PodMachineOptions
  readonly store: PodStore
  readonly board: ReportBoard
  readonly events: EventBuffer
  readonly pulls: Semaphore.Semaphore
  readonly host: () => HostInfo
  /** Begins to end another pod (one that still has this pod's name). */
  readonly displace: (uid: string) => Effect.Effect<void>
  /** Nothing runs and nothing begins: the operator has not been heard for too long. */
  readonly resting: () => boolean
  /** A pod finished: one that waited for its name may go on. */
  readonly released: () => void
}

/** What the journal is to say of an attempt that came to an end. */
export interface AttemptEnd {
  readonly attempt: number
  readonly backOffMillis: number
  readonly result: ContainerResult
}

export interface Workbench extends Machine {
  readonly uid: string
  /** Open when something may have changed. */
  readonly wake: Latch.Latch
  /** Open when what is being done has to be left: the pod ends, or ends sooner. */
  readonly urgent: Latch.Latch
  /** One piece of work per container: pull, create, start. */
  readonly work: FiberMap.FiberMap<string>
  /** Names of containers with work under way, and the spec hash it is done for. */
  readonly busy: Map<string, string>
  /** Stops under way by container id, with the monotonic millisecond at which patience ends. */
  readonly stops: FiberMap.FiberMap<string>
  readonly stopDeadlines: Map<string, number>
  /** How often the engine said that it stopped a container, by id; until it is seen to have ended. */
  readonly stopped: Map<string, number>
  /** Why a container does not run yet, as far as the work on it knows. */
  readonly waiting: Map<string, Waiting>
  readonly imageBackOffs: Map<string, ImageBackOff>
  readonly times: ContainerTimes
  /** How attempts ended that the journal does not take: their files may be gone when it does. */
  readonly unrecorded: Map<string, AttemptEnd>
  /** Failures in a row of the work on one container. */
  readonly failures: Map<string, number>
  /** Messages of events that were told and have not changed since. */
  readonly told: Map<string, string>
  /** Host paths by volume name; absent until all are there. */
  volumes: ReadonlyMap<string, string> | undefined
  sandbox: Sandbox | undefined
  /** Whether `sandbox` may have changed. */
  sandboxStale: boolean
  /** When this life made the newest one, how many it made shortly after another, and when the next may be made: monotonic milliseconds. */
  sandboxMade: { readonly at: number | undefined; readonly inRow: number; readonly next: number }
  runtimeName: string
  running: ReadonlyMap<string, Container>
}

/** Forgotten while being worked on: the fiber of this pod is about to be interrupted. */
export const stateOf = (bench: Workbench): Effect.Effect<PodState> => {
  const state = bench.store.get(bench.uid)
  return state === undefined ? Effect.interrupt : Effect.succeed(state)
}

export const makeWorkbench = Effect.fnUntraced(
  function*(machine: Machine, uid: string): Effect.fn.Return<Workbench, never, Scope.Scope> {
    return {
      ...machine,
      uid,
      wake: yield* Latch.make(true),
      urgent: yield* Latch.make(false),
      work: yield* FiberMap.make<string>(),
      busy: new Map(),
      stops: yield* FiberMap.make<string>(),
      stopDeadlines: new Map(),
      stopped: new Map(),
      waiting: new Map(),
      imageBackOffs: new Map(),
      times: new ContainerTimes(),
      unrecorded: new Map(),
      failures: new Map(),
      told: new Map(),
      volumes: undefined,
      sandbox: undefined,
      sandboxStale: true,
      sandboxMade: { at: undefined, inRow: 0, next: 0 },
      runtimeName: "",
      running: new Map()
    }
  }
)

/** Whole milliseconds of the monotonic clock. */
export const monotonicMillis: Effect.Effect<number> = Effect.map(
  Clock.monotonicTimeNanos,
  (nanos) => Number(nanos / 1_000_000n)
)

/** Time on the device: exact within a boot; what lies between two boots does not count. */
export const activeMillis = (pod: PodRecord, bootId: string, monotonic: number): number =>
  pod.activeMillis + (pod.bootId === bootId ? Math.max(0, monotonic - pod.activeStamp) : 0)

/** Saves the pod's record with its clock brought up to date. */
export const savePod = (
  bench: Workbench,
  change: (pod: PodRecord) => PodRecord
): Effect.Effect<void, JournalError> =>
  Effect.flatMap(monotonicMillis, (monotonic) => {
    const { bootId } = bench.host()
    return bench.store.savePod(bench.uid, (pod) => ({
      ...change(pod),
      activeMillis: activeMillis(pod, bootId, monotonic),
      activeStamp: monotonic,
      bootId
    }))
  })

/** The pod turns to its end, for good. Where the journal takes no writes it begins to end all the same. */
export const beginEnd = (bench: Workbench, ending: Omit<Ending, "since">): Effect.Effect<void> =>
  Effect.flatMap(monotonicMillis, (since) => {
    const end = (pod: PodRecord): PodRecord =>
      pod.stage === "Sync" ? { ...pod, stage: "Terminating", ending: { ...ending, since } } : pod
    return Effect.catch(savePod(bench, end), () => Effect.sync(() => bench.store.touch(bench.uid, end)))
  })

/** Tells an event unless the same was told last for this key. */
export const tellOnce = (
  bench: Workbench,
  key: string,
  event: { readonly container?: string; readonly reason: string; readonly message: string }
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const assignment = bench.store.get(bench.uid)?.assignment
    if (assignment === undefined || bench.told.get(key) === event.message) return Effect.void
    bench.told.set(key, event.message)
    const subject = event.container === undefined ? { assignment } : { assignment, container: event.container }
    return bench.events.emit(subject, "Warning", event.reason, event.message)
  })

/** Leaves the work on one container, or on all; what it had begun is found again as after a crash. */
export const leaveWork = (bench: Workbench, name?: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    const left = name === undefined ? FiberMap.clear(bench.work) : FiberMap.remove(bench.work, name)
    const forget = Effect.sync(() => name === undefined ? bench.busy.clear() : void bench.busy.delete(name))
    return Effect.uninterruptible(Effect.andThen(left, forget))
  })

/** Whole milliseconds since the epoch: for what people read, never to tell how long something took. */
export const wallMillis: Effect.Effect<number> = Effect.map(Clock.currentTimeMillis, Math.floor)

/** This moment by both clocks. */
export const look: Effect.Effect<Look> = Effect.all({ wall: wallMillis, monotonic: monotonicMillis })
