/** What a storm knows of each pod that it made, and what ran of it. */
import { Effect } from "effect"
import type { ContainerStatus, Pod } from "../../core/kube/Pod.ts"
import type { Run } from "../fakes/runtime/MemoryEngine.ts"
import type { Recipe } from "./workload.ts"
import type { SimulatedDevice } from "./World.ts"

/** What the storm knows about a pod it made. */
export interface Known {
  readonly uid: string
  readonly name: string
  /** Its name in the API. */
  readonly place: string
  /** When it was made, in milliseconds of the world's clock. */
  readonly born: number
  readonly device: SimulatedDevice
  readonly recipe: Recipe
  readonly policy: string
  /** By container, how often it begins if nobody disturbs it; undefined where there is no end to it. */
  readonly begins: ReadonlyMap<string, number | undefined>
  /** Its init containers. */
  readonly inits: ReadonlySet<string>
  /** What it comes to when nothing disturbs it any more. */
  outcome: Recipe["outcome"]
  image: string
  /** How often its main container was given another image. */
  edits: number
  /** It was given a deadline of its own. */
  shortened: boolean
  /** Made by a controller. */
  readonly owned: boolean
  /** Kind of its owner. */
  readonly owner: string | undefined
  /** Whether it may be deleted by others than the storm. */
  mayGo: boolean
  deleted: boolean
  forced: boolean
  /** It was given up while its device was away: its files go when that is back. */
  givenUp: boolean
  /** Since when the API says that it has ended, in milliseconds of the world's clock. */
  overAt: number | undefined
  /** Since when it is not in the API any more, unless it was taken out by force. */
  goneAt: number | undefined
}

/** Of each device whose disk forgot what it had promised to keep, the milliseconds of the world's clock at which it did. */
export type Forgetful = ReadonlyMap<string, ReadonlyArray<number>>

/** Which memory a device had then: what lies between two losses is one, and is judged as if there had never been another. */
export const memoryAt = (forgetful: Forgetful, { name }: SimulatedDevice, at: number): number =>
  (forgetful.get(name) ?? []).filter((lost) => lost < at).length

/** Whether its device has lost a memory of which the pod may have been a part. */
export const isForgotten = (forgetful: Forgetful, { born, device }: Known): boolean =>
  (forgetful.get(device.name) ?? []).some((lost) => lost >= born)

export const runsOf = (device: SimulatedDevice): ReadonlyArray<Readonly<Run>> => Effect.runSync(device.runtime.runs)
export const goesOn = ({ finishedAt }: Readonly<Run>) => finishedAt === undefined

export const runningOf = ({ device, uid }: Known) => runsOf(device).filter((run) => run.uid === uid && goesOn(run))
export const ranEver = ({ device, uid }: Known) => runsOf(device).some((run) => run.uid === uid)

/** Whether a process of its main container runs, of this attempt if one is named. */
export const isRunning = (known: Known, attempt?: number): boolean =>
  runningOf(known).some((run) => run.container === "main" && (attempt === undefined || run.attempt === attempt))

export const statuses = (pod: Pod): ReadonlyArray<ContainerStatus> => [
  ...pod.status?.initContainerStatuses ?? [],
  ...pod.status?.containerStatuses ?? []
]
export const isOver = (pod: Pod | undefined) => pod?.status?.phase === "Succeeded" || pod?.status?.phase === "Failed"
export const words = (runs: ReadonlyArray<Readonly<Run>>) =>
  runs.map(({ attempt, container }) => `${container}#${attempt}`).join(", ")

/** What cannot be looked at just now is not held against anybody. */
export const hasFiles = ({ device, uid }: Known): boolean =>
  Effect.runSync(Effect.orElseSucceed(device.volumes.pods, (): ReadonlyArray<string> => [])).includes(uid)
