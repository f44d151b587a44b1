/** Sub-commands that every program has. */
import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import { version } from "./version.ts"

export const printVersion = Command.make("version", {}, () => Console.log(version)).pipe(
  Command.withDescription("Print the version")
)

/** Reads the configuration as `run` would, and stops there. */
export const checkConfig = <const Flags extends Command.Command.Config, E, R>(
  flags: Flags,
  configured: (given: Command.Command.Config.Infer<Flags>) => Effect.Effect<unknown, E, R>
) =>
  Command.make(
    "check-config",
    flags,
    (given) => Effect.andThen(configured(given), Console.log("the configuration is good"))
  ).pipe(
    Command.withDescription("Read the configuration, say what is wrong with it, and stop")
  )
