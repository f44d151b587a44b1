/** What is made once and kept in a Secret for ever: every replica has the same, and waits for it while the API server is away. */
import { Duration, Effect, Schedule } from "effect"
import { type Secret, Secrets } from "./kinds.ts"
import { KubeApi, KubeApiError } from "./KubeApi.ts"

export const keptSecret = Effect.fnUntraced(function*<R>(
  /** For people: what lies in the Secret. */
  what: string,
  at: { readonly namespace: string; readonly name: string },
  options: {
    /** Where there is none yet: all but its name. */
    readonly make: Effect.Effect<Omit<Secret, "apiVersion" | "kind" | "metadata">, never, R>
    /** How long an API server that is away is waited for. */
    readonly patience?: Duration.Input | undefined
  }
) {
  const api = yield* KubeApi
  let last = new KubeApiError({ reason: "Unavailable", status: 0, detail: "there is no answer" })
  let said: string | undefined
  const tell = (error: KubeApiError) => {
    last = error
    if (!error.retryable || error.message === said) return Effect.void
    said = error.message
    return Effect.logWarning(`${what} cannot be read yet: ${error.message}; trying again`)
  }
  const made = Effect.flatMap(
    options.make,
    (content) => api.create(Secrets, { apiVersion: "v1", kind: "Secret", metadata: at, ...content })
  )
  return yield* api.get(Secrets, at).pipe(
    Effect.catch((error) => error.reason === "NotFound" ? made : Effect.fail(error)),
    Effect.tapError(tell),
    Effect.retry({
      schedule: Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("10 seconds")]),
      // Another replica may have been faster: what it made is what there is.
      while: (error) => error.retryable || error.reason === "AlreadyExists"
    }),
    Effect.timeoutOrElse({
      duration: options.patience ?? Duration.infinity,
      orElse: () => Effect.fail(last)
    })
  )
})
