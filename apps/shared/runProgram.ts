/** Runs a command line as a process: errors as one sentence on stderr, exit code 1; a signal ends it in order with exit code 0. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import type { NodeServices as Services } from "@effect/platform-node/NodeServices"
import { Cause, Effect, Exit, Predicate } from "effect"

const hasMessage = (error: unknown): error is { readonly message: string } =>
  Predicate.isObject(error) && typeof (error as { readonly message?: unknown }).message === "string"

export const runProgram = <E>(program: Effect.Effect<void, E, Services>): void =>
  NodeRuntime.runMain(
    program.pipe(
      Effect.tapCause((cause) =>
        Effect.sync(() => {
          if (Cause.hasInterruptsOnly(cause)) return
          const error = Cause.squash(cause)
          // A fault of ours shows where it came from; anything else is a sentence.
          process.stderr.write(
            Cause.hasDies(cause)
              ? `${Cause.pretty(cause)}\n`
              : `error: ${hasMessage(error) ? error.message : String(error)}\n`
          )
        })
      ),
      Effect.provide(NodeServices.layer)
    ),
    {
      disableErrorReporting: true,
      teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
    }
  )
