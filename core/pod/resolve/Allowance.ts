/**
 * How much of what a pod refers to may be put together for it. What is too large is found out on the way, as a small pod may name the
 * same large ConfigMap ten thousand times: all of it in memory would be the end of an operator of many devices.
 */
import { Context, Effect } from "effect"
import { limits } from "../../wire/limits.ts"
import { NotYet } from "./Resolution.ts"

export class Allowance extends Context.Service<Allowance, {
  /** Fails once more has been taken than any message to a device holds. */
  readonly take: (bytes: number) => Effect.Effect<void, NotYet>
}>()("aranya/pod/resolve/Allowance") {}

const message = "the pod does not fit any message to its device: its variables, arguments and files are more than "
  + `${limits.assignment} bytes. Let it use fewer or smaller ConfigMaps and Secrets, in fewer containers`

const usedUp = new NotYet({
  reason: "ContainerCreating",
  message,
  notice: { type: "Warning", reason: "FailedSync", message, fieldPath: "" }
})

/** One for each pod. */
export const newAllowance = (): Allowance["Service"] => {
  let left: number = limits.assignment
  return {
    take: (bytes) =>
      Effect.suspend(() => {
        left -= bytes
        return left < 0 ? Effect.fail(usedUp) : Effect.void
      })
  }
}
