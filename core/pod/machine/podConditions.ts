/** The conditions a kubelet owns, with its reasons and texts. Pure. */
import type { ContainerStatus, PodCondition, PodPhase } from "../../kube/Pod.ts"
import { timestamp } from "../../kube/time.ts"

export interface ConditionsInput {
  readonly phase: PodPhase
  readonly generation: number
  readonly initContainers: ReadonlyArray<ContainerStatus>
  readonly containers: ReadonlyArray<ContainerStatus>
  /** Some regular container was started once. */
  readonly initialized: boolean
  readonly sandboxReady: boolean
  readonly now: number
  readonly before: ReadonlyArray<PodCondition>
}

interface Verdict {
  readonly status: "True" | "False"
  readonly reason?: string
  readonly message?: string
}

const yes: Verdict = { status: "True" }

const names = (containers: ReadonlyArray<ContainerStatus>): string =>
  `[${containers.map(({ name }) => name).join(" ")}]`

const initialisation = (input: ConditionsInput): Verdict => {
  if (input.phase === "Succeeded") return { status: "True", reason: "PodCompleted" }
  if (input.initialized) return yes
  const incomplete = input.initContainers.filter(({ ready }) => !ready)
  return incomplete.length === 0 ? yes : {
    status: "False",
    reason: "ContainersNotInitialized",
    message: `containers with incomplete status: ${names(incomplete)}`
  }
}

/** Readiness is never True beside a terminal phase. */
const readiness = (input: ConditionsInput): Verdict => {
  if (input.phase === "Succeeded") return { status: "False", reason: "PodCompleted" }
  if (input.phase === "Failed") return { status: "False", reason: "PodFailed" }
  const unready = input.containers.filter(({ ready }) => !ready)
  return unready.length === 0 ? yes : {
    status: "False",
    reason: "ContainersNotReady",
    message: `containers with unready status: ${names(unready)}`
  }
}

/** Readiness gates are the operator's to judge: their conditions never reach the device. */
export const podConditions = (input: ConditionsInput): ReadonlyArray<PodCondition> => {
  const ready = readiness(input)
  const verdicts: ReadonlyArray<readonly [string, Verdict]> = [
    ["PodReadyToStartContainers", { status: input.sandboxReady ? "True" : "False" }],
    ["Initialized", initialisation(input)],
    ["Ready", ready],
    ["ContainersReady", ready],
    ["PodScheduled", yes]
  ]
  return verdicts.map(([type, verdict]) => {
    const before = input.before.find((condition) => condition.type === type)
    const since = before?.status === verdict.status ? before.lastTransitionTime : undefined
    return {
      type,
      ...verdict,
      lastTransitionTime: since ?? timestamp(input.now),
      observedGeneration: input.generation
    }
  })
}
