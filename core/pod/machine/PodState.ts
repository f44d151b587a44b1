/** Everything the machine remembers of one pod, in memory as in the journal. */
import type { PodAssignment } from "../PodAssignment.ts"
import type { PodReport } from "../PodReport.ts"

/** How one attempt ended. */
export interface ContainerResult {
  readonly exitCode: number
  readonly reason: string
  readonly message: string
  /** Milliseconds since the epoch by the device's clock; absent where the process never ran or nobody knows. */
  readonly startedAt?: number
  /** When it ended, or when that was noticed. */
  readonly finishedAt: number
  readonly containerId: string
  /** The runtime does not know it any more: the result is a guess, and the restart count has grown by it. */
  readonly vanished: boolean
}

/** The newest attempt of one container, and the result of the one before. */
export interface ContainerRecord {
  /** Restart number, from 0. */
  readonly attempt: number
  /** `Creating`: it was not started. `Starting`: it may have been started, and must never be started again once it ran. */
  readonly step: "Creating" | "Starting" | "Ended"
  /** Empty while it is not known. */
  readonly containerId: string
  readonly specHash: string
  readonly image: string
  readonly imageId: string
  /** The boot in which it was started. */
  readonly bootId: string
  readonly sandboxAttempt: number
  /** To wait between the end of this attempt and the start of the next. */
  readonly backOffMillis: number
  /** It is being ended only to make room for a changed container, or for another time: it runs again, however it ended. */
  readonly replacing: boolean
  readonly result?: ContainerResult
  readonly previous?: ContainerResult
}

/** Why and how a pod ends. */
export interface Ending {
  readonly deleted: boolean
  /** Only ever shortened. */
  readonly graceSeconds: number
  /** Monotonic milliseconds, in the boot of the record. */
  readonly since: number
  /** The pod failed for this reason, whatever its containers' results; empty for none. */
  readonly reason: string
  readonly message: string
}

export interface PodRecord {
  /** Order in which pods came; an older pod of the same name ends first. */
  readonly order: number
  /** No way back. */
  readonly stage: "Sync" | "Terminating" | "Terminated"
  /** Milliseconds since the epoch by the device's clock: status.startTime. */
  readonly startedAt: number
  /** Milliseconds on the device as of `activeStamp`, by the monotonic clock of the boot. */
  readonly activeMillis: number
  readonly activeStamp: number
  readonly bootId: string
  readonly sandboxAttempt: number
  /** Of the newest sandbox that was ready; empty before. */
  readonly sandboxId: string
  readonly ending?: Ending
  /** Deletion was asked for and the runtime holds no container of the pod any more. */
  readonly containersRemoved: boolean
  readonly report?: PodReport
}

export interface PodState {
  readonly assignment: PodAssignment
  readonly pod: PodRecord
  /** By container name; names of all kinds of containers never meet. */
  readonly containers: ReadonlyMap<string, ContainerRecord>
}

/** A regular container was started once: initialisation is over for good. */
export const hasInitialized = ({ assignment, containers }: PodState): boolean =>
  assignment.containers.some(({ name }) => (containers.get(name)?.step ?? "Creating") !== "Creating") ||
  assignment.containers.some(({ name }) => containers.get(name)?.previous !== undefined)

/** Of what was found in this sandbox, where the newest is that one: of any other it matters only that it was a former one. */
export const attemptOfSandbox = (id: string, newest: string | undefined, attempt: number): number =>
  id === newest ? attempt : attempt - 1
