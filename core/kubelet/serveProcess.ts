/** Joins the client of an exec or attach with the process on the device, until either ends. */
import { Effect, type Scope, Stream } from "effect"
import type { ExecSpec, ProcessStreams, RuntimeError } from "../pod/ContainerRuntime.ts"
import type { PodStreamError } from "../pod/PodRuntime.ts"
import type { ProcessClient, ProcessOutcome } from "./RemoteClient.ts"

/**
 * Returns when the client has the outcome or has left; leaving ends an exec'd process. The exit code of an attached container
 * is told by its pod's status alone, as a kubelet does.
 */
export const serveProcess = Effect.fnUntraced(function*(
  kind: "exec" | "attach",
  open: Effect.Effect<ProcessStreams, PodStreamError | RuntimeError, Scope.Scope>,
  options: Omit<ExecSpec, "command">,
  client: ProcessClient
) {
  const talk = Effect.gen(function*() {
    const process = yield* open
    if (options.stdin) {
      // Input that breaks off (the process closed it, or the client left) does not end the output.
      yield* client.input.pipe(
        Stream.runForEach(process.stdin),
        Effect.andThen(process.endStdin),
        Effect.catch((error) => Effect.logDebug(`the input of an ${kind} ended: ${error.message}`)),
        Effect.forkScoped
      )
    }
    if (options.tty) {
      yield* client.resizes.pipe(
        Stream.runForEach(process.resize),
        Effect.catch((error) => Effect.logDebug(`the sizes of a terminal ended: ${error.message}`)),
        Effect.forkScoped
      )
    }
    yield* Stream.runForEach(process.output, client.output)
    const code = kind === "exec" ? yield* process.exitCode : 0
    return { _tag: "Exited", code } satisfies ProcessOutcome
  })
  yield* Effect.scoped(talk).pipe(
    Effect.catchTags({
      PodStreamError: (error) => Effect.succeed<ProcessOutcome>({ _tag: "Failed", detail: error.message }),
      RuntimeError: (error) => Effect.succeed<ProcessOutcome>({ _tag: "Failed", detail: error.message })
    }),
    Effect.flatMap(client.finish),
    // There is nobody left to tell.
    Effect.catchTag("ClientGone", (error) => Effect.logDebug(`${kind} ended: ${error.message}`))
  )
})
