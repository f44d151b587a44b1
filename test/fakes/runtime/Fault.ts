/** How a call to the in-memory runtime can go wrong, and which fault meets which call. */
import type { Duration } from "effect"
import { RuntimeError } from "../../../core/pod/ContainerRuntime.ts"

export type Operation =
  | "info"
  | "image"
  | "pull"
  | "ensureSandbox"
  | "sandboxes"
  | "removeSandbox"
  | "create"
  | "start"
  | "stop"
  | "remove"
  | "inspect"
  | "containers"
  | "logs"
  | "exec"
  | "attach"
  | "dial"
  | "usage"

/**
 * `Fails`: nothing happened. `Lost`: it happened, the answer did not come. `Late`: the caller is told it failed, and it happens
 * after that long all the same. `Hangs`: nothing happened, no answer ever. `Silent`: it happened, no answer ever. `Slow`: it happens after that long.
 */
export type Fault =
  | { readonly _tag: "Fails"; readonly error?: RuntimeError }
  | { readonly _tag: "Lost" }
  | { readonly _tag: "Late"; readonly after: Duration.Input }
  | { readonly _tag: "Hangs" }
  | { readonly _tag: "Silent" }
  | { readonly _tag: "Slow"; readonly by: Duration.Input }

/** A fault that waits for its calls. */
export interface PlannedFault {
  readonly operation: Operation
  readonly fault: Fault
  times: number
  /** Sees `namespace/pod/container#attempt`, `namespace/pod#attempt`, an image, or the id of what is not there. */
  readonly where: (subject: string) => boolean
}

export const unavailable = (detail: string) => new RuntimeError({ reason: "Unavailable", detail })

/** What was asked for may have been done: a command is the one thing that must not be asked for twice. */
export const unanswered = (operation: Operation, detail: string) =>
  operation === "exec" ? new RuntimeError({ reason: "OutcomeUnknown", detail }) : unavailable(detail)

/** Takes the first planned fault for this call, once. */
export const takePlanned = (planned: Array<PlannedFault>, operation: Operation, subject: string): Fault | undefined => {
  const index = planned.findIndex((plan) => plan.operation === operation && plan.where(subject))
  const plan = planned[index]
  if (plan === undefined) return undefined
  plan.times -= 1
  if (plan.times <= 0) planned.splice(index, 1)
  return plan.fault
}
