/** The phase of a pod from the states of its containers. Pure. */
import type { ContainerStatus, PodPhase } from "../../kube/Pod.ts"
import type { PodAssignment } from "../PodAssignment.ts"

type Kind = "waiting" | "running" | "succeeded" | "failed" | "unknown"

/** A container in restart back-off counts by the run before: it has been started. */
const kindOf = ({ lastState, state }: ContainerStatus): Kind => {
  if (state?.running !== undefined) return "running"
  const ended = state?.terminated ?? (state?.waiting === undefined ? undefined : lastState?.terminated)
  if (ended !== undefined) return ended.exitCode === 0 ? "succeeded" : "failed"
  return state?.waiting === undefined ? "unknown" : "waiting"
}

export interface PhaseInput {
  readonly restartPolicy: PodAssignment["restartPolicy"]
  readonly initContainers: ReadonlyArray<ContainerStatus>
  readonly containers: ReadonlyArray<ContainerStatus>
  /** Some regular container was started once. */
  readonly initialized: boolean
  /** No container runs or will run again. */
  readonly over: boolean
}

// Sidecars, when they come, do not count in the end but hold a pod in Pending until they are started.
export const podPhase = (input: PhaseInput): PodPhase => {
  const kinds = input.containers.map(kindOf)
  const all = (kind: Kind) => kinds.every((each) => each === kind)
  const some = (kind: Kind) => kinds.includes(kind)

  if (input.over) {
    const initSucceeded = input.initialized || input.initContainers.every((init) => kindOf(init) === "succeeded")
    return initSucceeded && all("succeeded") ? "Succeeded" : "Failed"
  }
  if (!input.initialized && input.initContainers.some((init) => kindOf(init) !== "succeeded")) {
    const failed = input.initContainers.some((init) => kindOf(init) === "failed")
    return failed && input.restartPolicy === "Never" && !some("running") ? "Failed" : "Pending"
  }
  if (some("waiting") || some("unknown")) return "Pending"
  if (some("running")) return "Running"
  if (input.restartPolicy === "Always") return "Running"
  if (all("succeeded")) return "Succeeded"
  return input.restartPolicy === "Never" ? "Failed" : "Running"
}
