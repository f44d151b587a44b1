/** A client at a container's own process: what it writes from now on, its input, and its terminal where it has one. */
import { Effect, Stream } from "effect"
import { join } from "node:path"
import type { ExecSpec, Output, ProcessStreams, RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import type { Kept, Life } from "./containerFolder.ts"
import { readIfThere } from "./disk.ts"
import { isAlive, type ProcessIdentity, signal } from "./identity.ts"
import { openInput } from "./interact.ts"
import { readLogs, readScreen } from "./logs.ts"
import { resizeTerminal } from "./terminals.ts"

export interface Attachable {
  readonly folder: string
  readonly kept: Kept
  readonly life: Life
  readonly process: ProcessIdentity
  readonly boot: string
  /** Whether nothing more will be written. */
  readonly ended: Effect.Effect<boolean, RuntimeError>
  readonly exitCode: Effect.Effect<number, RuntimeError>
}

export const attachTo = Effect.fnUntraced(function*(
  { boot, ended, exitCode, folder, kept, life, process }: Attachable,
  spec: Omit<ExecSpec, "command">
) {
  const input = spec.stdin && kept.spec.stdin ? yield* openInput(join(folder, "stdin")) : undefined
  const screen = Stream.map(readScreen(folder, ended), (bytes): Output => ({ stream: "stdout", bytes }))
  const lines = readLogs(folder, { follow: true }, ended, true).pipe(
    Stream.filter(({ stream }) => (stream === "stdout" ? spec.stdout : spec.stderr)),
    Stream.map(({ bytes, stream }): Output => ({ stream, bytes }))
  )
  const endInput = Effect.sync(() => {
    if (life.shim !== undefined) signal(life.shim, boot, "SIGUSR1", false)
  })
  const isOnce = input !== undefined && kept.spec.stdinOnce
  // A client that goes without a word has said all it had to say. A terminal waits for the next one, as with every container runtime.
  if (isOnce && !kept.spec.tty) yield* Effect.addFinalizer(() => endInput)
  const streams: ProcessStreams = {
    stdin: (bytes) => input?.write(bytes) ?? Effect.void,
    // With a terminal it is what ^D means.
    endStdin: isOnce ? Effect.andThen(input.close, endInput) : Effect.void,
    resize: (size) =>
      Effect.suspend(() => {
        const terminal = kept.spec.tty ? readIfThere(join(folder, "terminal"))?.trim() : undefined
        // The name of one that is gone may be another's.
        return terminal === undefined || !isAlive(process, boot) ? Effect.void : resizeTerminal(terminal, size)
      }),
    output: kept.spec.tty ? screen : lines,
    exitCode
  }
  return streams
})
