/** What a process of the in-memory runtime does with its virtual life. */
import { Duration, Effect, Option, Stream } from "effect"
import type { ContainerSpec, Output } from "../../../core/pod/ContainerRuntime.ts"

/** A process's view of the world it runs in. */
export interface Surroundings {
  readonly spec: ContainerSpec
  readonly print: (text: string | Uint8Array, stream?: Output["stream"]) => Effect.Effect<void>
  /** What an attached client writes; of an exec, what its client writes. Ends when the client ends it. */
  readonly stdin: Stream.Stream<Uint8Array>
  /** Succeeds when SIGTERM has come. */
  readonly terminated: Effect.Effect<void>
}

/** An exit code, or the kernel's verdict. */
export type Ending = number | "OOMKilled"

export type Program = (surroundings: Surroundings) => Effect.Effect<Ending>

/** The far end of a connection made by `dial`. */
export interface Connection {
  readonly read: Stream.Stream<Uint8Array>
  readonly write: (bytes: string | Uint8Array) => Effect.Effect<void>
}

export interface Script {
  readonly run: Program
  /** What SIGTERM does: `dies` at once with 143, is `ignored`, is left to the program, or ends it after a while. */
  readonly onTerm: "dies" | "ignored" | "handled" | { readonly after: Duration.Input; readonly code: number }
  /** The engine's words about why it cannot be started. */
  readonly startFails?: string
  readonly exec: (command: ReadonlyArray<string>, surroundings: Surroundings) => Effect.Effect<number>
  /** TCP ports it answers on; the connection ends when the effect does. Read at each dial, so it may change. */
  readonly listens: Readonly<Record<number, (connection: Connection) => Effect.Effect<void>>>
  /** Used while it runs: thousandths of a core, and bytes. */
  readonly cpu: number
  readonly memory: number
}

export const forever: Program = () => Effect.never

export const exits = (code: Ending, after: Duration.Input = 0): Program => () =>
  Effect.as(Effect.sleep(Duration.fromInputUnsafe(after)), code)

/** The first `times` attempts fail, later ones do as `then` says. */
export const crashes = (
  times: number,
  options: { readonly code?: number; readonly after?: Duration.Input; readonly then?: Program } = {}
): Program =>
(surroundings) =>
  surroundings.spec.attempt < times
    ? exits(options.code ?? 1, options.after ?? 0)(surroundings)
    : (options.then ?? forever)(surroundings)

export const outOfMemory = (after: Duration.Input = 0): Program => exits("OOMKilled", after)

/** Prints the lines with a pause after each, then does as `then` says. */
export const prints =
  (lines: ReadonlyArray<string>, options: { readonly every?: Duration.Input; readonly then?: Program } = {}): Program =>
  (surroundings) =>
    Effect.andThen(
      Effect.forEach(
        lines,
        (line) =>
          Effect.andThen(surroundings.print(`${line}\n`), Effect.sleep(Duration.fromInputUnsafe(options.every ?? 0))),
        { discard: true }
      ),
      (options.then ?? forever)(surroundings)
    )

/** Writes back what it reads, and ends with 0 when the input ends. */
export const echoes: Program = ({ print, stdin }) => Effect.as(Stream.runForEach(stdin, (bytes) => print(bytes)), 0)

/** The few commands every image has. */
export const standardCommands: Script["exec"] = ([name, ...args], surroundings) => {
  switch (name) {
    case "true":
      return Effect.succeed(0)
    case "false":
      return Effect.succeed(1)
    case "echo":
      return Effect.as(surroundings.print(`${args.join(" ")}\n`), 0)
    case "cat":
      return Effect.as(echoes(surroundings), 0)
    case "sleep":
      return Effect.as(Effect.sleep(Duration.seconds(Number(args[0] ?? 0))), 0)
    default:
      return Effect.as(surroundings.print(`exec: "${name ?? ""}": executable file not found in $PATH\n`, "stderr"), 127)
  }
}

/** Answers each HTTP/1.1 request on a port; `answer` is asked anew each time. */
export const answersHttp = (
  answer: (request: string) => Effect.Effect<{ readonly status: number; readonly body?: string }>
) =>
  Effect.fnUntraced(function*({ read, write }: Connection) {
    const request = yield* read.pipe(
      Stream.decodeText,
      Stream.scan(() => "", (before, text) => before + text),
      Stream.takeUntil((text) => text.includes("\r\n\r\n")),
      Stream.runLast
    )
    if (Option.isNone(request) || !request.value.includes("\r\n\r\n")) return
    const reply = yield* answer(request.value)
    const body = new TextEncoder().encode(reply.body ?? "")
    yield* write(`HTTP/1.1 ${reply.status} x\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n`)
    if (body.length > 0) yield* write(body)
  })

export const ordinary: Script = {
  run: forever,
  onTerm: "dies",
  exec: standardCommands,
  listens: {},
  cpu: 10,
  memory: 8 * 1024 * 1024
}
