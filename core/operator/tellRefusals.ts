/** Why the API server refuses a write that is tried again for ever: what only a person can mend is a warning, once for each sentence. */
import { Effect } from "effect"
import type { KubeApiError } from "../kube/KubeApi.ts"

/** Others' writes and the end of an object are no refusals, and an API server that is away is told of elsewhere. */
const isRefusal = (error: KubeApiError) =>
  !error.retryable && error.reason !== "Conflict" && error.reason !== "NotFound"

export const tellRefusals = (what: string) => {
  let told: string | undefined
  return <A, R>(write: Effect.Effect<A, KubeApiError, R>) =>
    write.pipe(
      Effect.tap(() => Effect.sync(() => void (told = undefined))),
      Effect.tapError((error) => {
        const { message } = error
        if (!isRefusal(error) || message === told) return Effect.logDebug(`${what}: ${message}`)
        told = message
        return Effect.logWarning(`${what}: ${message}`)
      })
    )
}
