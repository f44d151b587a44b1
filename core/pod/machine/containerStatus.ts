/** The status of one container as a kubelet words it. Pure. */
import type { ContainerState, ContainerStatus } from "../../kube/Pod.ts"
import { timestamp } from "../../kube/time.ts"
import type { Container } from "../ContainerRuntime.ts"
import type { AssignedContainer } from "../PodAssignment.ts"
import type { Waiting } from "./planPod.ts"
import type { ContainerRecord, ContainerResult } from "./PodState.ts"

/** What a container is said to be that nobody can find any more. */
export const vanishedMessage = "The container could not be located when the pod was terminated"

export interface ContainerView {
  readonly container: AssignedContainer
  readonly kind: "init" | "regular" | "ephemeral"
  readonly hasInitContainers: boolean
  readonly record: ContainerRecord | undefined
  /** The newest attempt while it runs. */
  readonly running: Container | undefined
  readonly waiting: Waiting | undefined
  /** `docker`: the scheme of container ids. */
  readonly runtimeName: string
  /** The pod is over and was initialised: what never ran is said to be lost. */
  readonly lost: boolean
  /** The pod ends: nothing of it runs again. */
  readonly ending: boolean
}

const idOf = (runtimeName: string, id: string): { readonly containerID?: string } =>
  id === "" ? {} : { containerID: `${runtimeName}://${id}` }

const terminated = (result: ContainerResult, runtimeName: string): ContainerState => ({
  terminated: {
    exitCode: result.exitCode,
    reason: result.reason,
    ...(result.message === "" ? {} : { message: result.message }),
    ...(result.startedAt === undefined ? {} : { startedAt: timestamp(result.startedAt) }),
    ...(result.vanished ? {} : { finishedAt: timestamp(result.finishedAt) }),
    ...idOf(runtimeName, result.containerId)
  }
})

/** A runtime may have any number of words for a refusal; a report that holds them all could not be told. */
const mostWords = 1024

const waitingState = ({ message, reason }: Waiting): ContainerState => ({
  waiting: { reason, ...(message === "" ? {} : { message: message.slice(0, mostWords) }) }
})

/** Probes will decide `ready` and `started` here; without them a container is both as soon as it runs. */
export const containerStatus = (view: ContainerView): ContainerStatus => {
  const { container, record, running, runtimeName } = view
  const fallback: Waiting = {
    reason: view.kind === "init" || view.hasInitContainers ? "PodInitializing" : "ContainerCreating",
    message: ""
  }
  const lostState: ContainerState = {
    terminated: { exitCode: 137, reason: "ContainerStatusUnknown", message: vanishedMessage }
  }
  const base = { name: container.name, image: record?.image ?? container.image, imageID: record?.imageId ?? "" }
  const last = (result: ContainerResult | undefined) =>
    result === undefined ? {} : { lastState: terminated(result, runtimeName) }

  if (record === undefined) {
    const state = view.lost ? lostState : waitingState(view.waiting ?? fallback)
    return { ...base, ready: false, started: false, restartCount: 0, state }
  }
  const restartCount = record.attempt + (record.result?.vanished === true ? 1 : 0)
  if (record.step === "Ended" && record.result !== undefined) {
    const { result } = record
    // For the API a container that ended has ended for good, unless its restart policy says otherwise.
    const comesBack = record.replacing && !view.ending
    const waiting = view.waiting ?? (comesBack ? fallback : undefined)
    return {
      ...base,
      ...idOf(runtimeName, result.containerId),
      ready: view.kind === "init" && result.exitCode === 0 && !comesBack,
      started: false,
      restartCount,
      ...(waiting === undefined ?
        { state: terminated(result, runtimeName), ...last(record.previous) } :
        { state: waitingState(waiting), ...last(result) })
    }
  }
  if (running !== undefined) {
    return {
      ...base,
      ...idOf(runtimeName, running.id),
      ready: view.kind === "regular",
      started: true,
      restartCount,
      state: { running: { startedAt: timestamp(running.startedAt ?? running.createdAt) } },
      ...last(record.previous)
    }
  }
  return {
    ...base,
    ready: false,
    started: false,
    restartCount,
    state: view.lost ? lostState : waitingState(view.waiting ?? fallback),
    ...last(record.previous)
  }
}
