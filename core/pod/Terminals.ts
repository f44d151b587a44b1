/** The port to pseudo-terminals of the device: commands that a person talks to, wherever a runtime has no terminals of its own. */
import { Context, type Effect, type Scope } from "effect"
import type { ProcessStreams, RuntimeError } from "./ContainerRuntime.ts"

export interface TerminalCommand {
  /** Program and arguments as they are; the program by absolute path, or one of the system's own. */
  readonly argv: ReadonlyArray<string>
  /** All the command knows, `TERM` included where it shall have one. */
  readonly environment: Readonly<Record<string, string>>
  /** User id that the terminal's device file belongs to, for a command that gives up its rights; arhat's own unless told. */
  readonly owner?: number
}

export class Terminals extends Context.Service<Terminals, {
  /**
   * Runs a command as the leader of a session on a terminal of its own, 80x24 until it is resized. The end of input is what ^D means.
   * Closing the scope hangs up: the session gets SIGHUP, and a second later what is left of it SIGKILL. What leaves the session
   * (setsid) or outlives an ordinary end in a process group of its own (nohup) goes on. Fails with `Unsupported` and the name of
   * what is missing where the device has no terminals.
   */
  readonly run: (command: TerminalCommand) => Effect.Effect<ProcessStreams, RuntimeError, Scope.Scope>
}>()("aranya/pod/Terminals") {}
