/** Runs a command line as a process: errors as one sentence on stderr, exit code 1; a signal ends it in order with exit code 0. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import type { NodeServices as Services } from "@effect/platform-node/NodeServices"
import { Cause, Effect, Exit, Layer, Predicate } from "effect"
import { CliConfig, CliError, GlobalFlag } from "effect/cli"
import { setFlagsFromString } from "node:v8"
import { loggingDefects } from "./loggingDefects.ts"

/**
 * Bytes on their way are buffers outside of V8's heap. By default it collects all of the heap for each 30 MB or so of them, which is
 * most of what a stream costs, in pauses that whoever types feels; so it collects them with the heap's own growth.
 */
setFlagsFromString("--external-memory-accounted-in-global-limit")

const hasMessage = (error: unknown): error is { readonly message: string } =>
  Predicate.isObject(error) && typeof (error as { readonly message?: unknown }).message === "string"

/** Empty where it has been said: mistakes on a command line are told together with its help. */
const sentenceOf = (error: unknown): string => {
  if (CliError.isCliError(error) && error._tag === "ShowHelp") {
    const command = error.commandPath.join(" ")
    return error.errors.length > 0 ? "" : `error: ${command} needs a subcommand: ${command} --help lists them`
  }
  return `error: ${hasMessage(error) ? error.message : String(error)}`
}

/** All that every command line has of itself but `--log-level`: levels are said in the configuration, one for each sink. */
const commandLine = CliConfig.layer({
  builtIns: GlobalFlag.BuiltIns.filter((flag) => flag !== GlobalFlag.LogLevel)
})

export const runProgram = <E>(program: Effect.Effect<void, E, Services>): void =>
  NodeRuntime.runMain(
    loggingDefects(program).pipe(
      Effect.tapCause((cause) =>
        Effect.sync(() => {
          if (Cause.hasInterruptsOnly(cause)) return
          // A fault of ours shows where it came from; anything else is a sentence.
          const said = Cause.hasDies(cause) ? Cause.pretty(cause) : sentenceOf(Cause.squash(cause))
          if (said !== "") process.stderr.write(`${said}\n`)
        })
      ),
      Effect.provide(Layer.merge(NodeServices.layer, commandLine))
    ),
    {
      disableErrorReporting: true,
      teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
    }
  )
