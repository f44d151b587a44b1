/** What is to be done next for a pod that shall run: which containers start, stop or wait. Pure; repeated after every change. */
import type { Container } from "../ContainerRuntime.ts"
import { type AssignedContainer, assignedContainers, type PodAssignment } from "../PodAssignment.ts"
import { type CrashBackOff, restartAfter } from "./crashBackOff.ts"
import { goDuration } from "./goDuration.ts"
import type { Verdict } from "./judgeContainer.ts"
import { type ContainerRecord, hasInitialized, type PodState } from "./PodState.ts"

export interface Waiting {
  readonly reason: string
  readonly message: string
}

/** The next attempt of a container. */
export interface Start {
  readonly container: AssignedContainer
  readonly attempt: number
  readonly backOffMillis: number
  readonly verdict: "Absent" | "Created" | "Unsettled"
  readonly existing?: Container
}

export interface Stop {
  readonly name: string
  readonly container: Container
  /**
   * `Changed`: its image or another part of its spec. `Sandbox`: what it ran in is gone. `Stray`: it must not run at all.
   * `Resting`: nothing runs until the operator is heard.
   */
  readonly cause: "Changed" | "Sandbox" | "Stray" | "Resting"
}

export interface Plan {
  /** Nothing runs and nothing is to run any more. */
  readonly over: boolean
  readonly starts: ReadonlyArray<Start>
  readonly stops: ReadonlyArray<Stop>
  /** Containers in restart back-off. */
  readonly waiting: ReadonlyMap<string, Waiting>
  /** Milliseconds until the first back-off ends. */
  readonly wakeAfter?: number
}

export interface PlanInput {
  readonly state: PodState
  /** Of every container that has a record. */
  readonly verdicts: ReadonlyMap<string, Verdict>
  /** Former attempts that run all the same. */
  readonly strays: ReadonlyArray<Container>
  readonly sandboxReady: boolean
  /** Containers on which something was being done when the verdicts were made. */
  readonly busy: ReadonlySet<string>
  /** Milliseconds since the newest attempt of a container ended. */
  readonly rested: (name: string, record: ContainerRecord) => number
  readonly crashBackOff: CrashBackOff
  /** Nothing may run: what was about to start when that was decided shows within so many milliseconds. */
  readonly resting?: { readonly settleMillis: number } | undefined
}

/** Whether an ended container runs again; an init container runs until it succeeds. */
const runsAgain = (policy: PodAssignment["restartPolicy"], record: ContainerRecord, init: boolean): boolean => {
  if (record.replacing) return true
  const succeeded = record.result?.exitCode === 0
  if (policy === "Never") return false
  return policy === "OnFailure" || init ? !succeeded : true
}

export const planPod = (input: PlanInput): Plan => {
  const { assignment, containers: records, pod } = input.state
  const starts: Array<Start> = []
  const stops: Array<Stop> = []
  const waiting = new Map<string, Waiting>()
  let wakeAfter = Number.POSITIVE_INFINITY
  let alive = false

  const verdictOf = (name: string): Verdict | undefined => input.verdicts.get(name)

  for (const [name, verdict] of input.verdicts) {
    if ((verdict._tag === "Ended" || verdict._tag === "Vanished") && verdict.stray !== undefined) {
      stops.push({ name, container: verdict.stray, cause: "Stray" })
    }
  }

  for (const container of input.strays) stops.push({ name: container.container, container, cause: "Stray" })
  const crowded = new Set(stops.map(({ name }) => name))

  /** Starts the next attempt, or says how long it has to wait. */
  const restart = (container: AssignedContainer, record: ContainerRecord, init: boolean) => {
    alive = true
    if (record.result === undefined) return
    const again = init && record.result.exitCode === 0
      ? { wait: 0, backOff: 0, next: 0 }
      : restartAfter(record, input.rested(container.name, record), container.specHash, input.crashBackOff)
    if (again.wait === 0) {
      starts.push({ container, attempt: record.attempt + 1, backOffMillis: again.next, verdict: "Absent" })
      return
    }
    wakeAfter = Math.min(wakeAfter, again.wait)
    const { name, namespace, uid } = assignment
    waiting.set(container.name, {
      reason: "CrashLoopBackOff",
      message: `back-off ${
        goDuration(again.backOff)
      } restarting failed container=${container.name} pod=${name}_${namespace}(${uid})`
    })
  }

  /** Starts the attempt of the record, or the first, where it was not started. */
  const begin = (container: AssignedContainer, verdict: Verdict | undefined, record: ContainerRecord | undefined) => {
    if (record === undefined || verdict === undefined) {
      starts.push({ container, attempt: 0, backOffMillis: 0, verdict: "Absent" })
      return
    }
    const { attempt, backOffMillis } = record
    if (verdict._tag === "Absent") starts.push({ container, attempt, backOffMillis, verdict: "Absent" })
    if (verdict._tag === "Created" || verdict._tag === "Unsettled") {
      starts.push({ container, attempt, backOffMillis, verdict: verdict._tag, existing: verdict.container })
    }
  }

  /** What every container has in common; true when it needs no more thought. */
  const proceed = (container: AssignedContainer, verdict: Verdict | undefined, record: ContainerRecord | undefined) => {
    // A record without a verdict is of work that ended while one was looking: the next look sees it.
    if (input.busy.has(container.name) || (record !== undefined && verdict === undefined)) return (alive = true)
    if (verdict?._tag === "Ended") return false
    begin(container, verdict, record)
    return (alive = true)
  }

  const initDone = (container: AssignedContainer): boolean => {
    const record = records.get(container.name)
    return record?.step === "Ended" && record.result?.exitCode === 0 && !record.replacing &&
      // In a new sandbox initialisation is repeated, unless nothing of this pod may run twice.
      (assignment.restartPolicy === "Never" || record.sandboxAttempt === pod.sandboxAttempt)
  }

  const wanted = assignment.containers.filter((container) => {
    const record = records.get(container.name)
    const verdict = verdictOf(container.name)
    if (input.busy.has(container.name) || record === undefined || verdict === undefined) return true
    return verdict._tag !== "Ended" || runsAgain(assignment.restartPolicy, record, false)
  })
  /** Whether some regular container has to be started: only then does initialisation matter. */
  const startsSomething = wanted.some(({ name }) => {
    const tag = verdictOf(name)?._tag
    return tag === undefined || tag === "Absent" || tag === "Ended" || tag === "Created"
  })

  let initialising = false
  if (startsSomething || !hasInitialized(input.state)) {
    for (const container of assignment.initContainers) {
      if (!input.busy.has(container.name) && initDone(container)) continue
      initialising = true
      const record = records.get(container.name)
      if (proceed(container, verdictOf(container.name), record) || record === undefined) break
      const repeated = record.result?.exitCode === 0 && assignment.restartPolicy !== "Never"
      if (repeated || runsAgain(assignment.restartPolicy, record, true)) {
        restart(container, record, true)
        break
      }
      // A failed init container under Never ends the pod; containers of an earlier round still have to end.
      break
    }
  }

  for (const container of assignment.containers) {
    const record = records.get(container.name)
    const verdict = verdictOf(container.name)
    if (verdict?._tag === "Running") {
      alive = true
      if (record?.specHash !== container.specHash || record.replacing) {
        stops.push({ name: container.name, container: verdict.container, cause: "Changed" })
      }
      continue
    }
    if (initialising) {
      if (verdict !== undefined && verdict._tag !== "Ended" && verdict._tag !== "Absent") alive = true
      // What waits for a repeated initialisation keeps its place in the status.
      continue
    }
    if (proceed(container, verdict, record) || record === undefined) continue
    if (runsAgain(assignment.restartPolicy, record, false)) restart(container, record, false)
  }

  // They begin whatever the other containers do, once, and hold nothing up; in a sandbox that is to be made anew nothing begins.
  for (const container of input.sandboxReady ? assignment.ephemeralContainers : []) {
    const verdict = verdictOf(container.name)
    if (verdict === undefined && records.has(container.name)) continue
    if (!input.busy.has(container.name)) begin(container, verdict, records.get(container.name))
  }

  const isStopped = ({ id }: Container) => stops.some(({ container }) => container.id === id)
  if (!input.sandboxReady && pod.sandboxId !== "") {
    for (const { name } of assignedContainers(assignment)) {
      const verdict = verdictOf(name)
      if (verdict?._tag === "Running" && !isStopped(verdict.container)) {
        stops.push({ name, container: verdict.container, cause: "Sandbox" })
      }
    }
  }

  if (input.resting !== undefined) {
    for (const [name, verdict] of input.verdicts) {
      if (verdict._tag === "Running" && !isStopped(verdict.container)) {
        stops.push({ name, container: verdict.container, cause: "Resting" })
      }
    }
    const unsettled = [...input.verdicts.values()].some(({ _tag }) => _tag === "Unsettled")
    return {
      over: !alive && stops.length === 0,
      starts: [],
      stops,
      waiting: new Map(),
      ...(unsettled ? { wakeAfter: input.resting.settleMillis } : {})
    }
  }
  return {
    over: !alive && stops.length === 0,
    // None begins beside a former one.
    starts: starts.filter(({ container }) => !crowded.has(container.name)),
    stops,
    waiting,
    ...(wakeAfter === Number.POSITIVE_INFINITY ? {} : { wakeAfter })
  }
}
