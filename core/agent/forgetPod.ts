/** Nothing is known of a pod any more: nothing of it is left, and the operator has heard so. */
import { Effect } from "effect"
import type { PodRuntime } from "../pod/PodRuntime.ts"
import type { Outbox } from "./Outbox.ts"

export const forgetPod = (
  runtime: PodRuntime["Service"],
  outbox: Outbox["Service"],
  uid: string
): Effect.Effect<void> =>
  Effect.ensuring(
    runtime.forget(uid),
    // The report goes with its pod, whatever interrupts who asked: nobody asks again for a pod that is not held any more.
    Effect.flatMap(runtime.held, (held) => held.some((pod) => pod.uid === uid) ? Effect.void : outbox.forget(uid))
  )
