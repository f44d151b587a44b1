/** Terminals in memory: commands do what the test says, and everything is written down. */
import { type Cause, Context, Deferred, Effect, Layer, PubSub, Queue, Stream } from "effect"
import type { TerminalSize } from "../../core/kubelet/RemoteClient.ts"
import { type Output, type ProcessStreams, RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import { type TerminalCommand, Terminals } from "../../core/pod/Terminals.ts"

/** A command's view of the terminal it sits at. */
export interface Seat {
  readonly command: TerminalCommand
  /** Line ends become those of a terminal. */
  readonly print: (text: string) => Effect.Effect<void>
  /** What is typed; it is echoed as a terminal does. Ends with ^D, or the end of input. */
  readonly typed: Stream.Stream<string>
  /** The size now, then each new one. */
  readonly sizes: Stream.Stream<TerminalSize>
}

export type SeatedProgram = (seat: Seat) => Effect.Effect<number>

export class MemoryTerminals extends Context.Service<MemoryTerminals, {
  /** What commands do from now on: 127 and words about it unless told. */
  readonly program: (program: SeatedProgram) => Effect.Effect<void>
  /** Each command is refused with this sentence; undefined mends it. */
  readonly missing: (sentence: string | undefined) => Effect.Effect<void>
  /** `run login -f root`, `resize 120x40`, `ended 0`, `hung up`: in their order. */
  readonly diary: Effect.Effect<ReadonlyArray<string>>
}>()("aranya/test/MemoryTerminals") {
  static readonly layer: Layer.Layer<MemoryTerminals | Terminals> = Layer.effectContext(Effect.gen(function*() {
    const diary: Array<string> = []
    let lacking: string | undefined
    let program: SeatedProgram = ({ command, print }) => Effect.as(print(`exec: ${command.argv[0]}: not found\n`), 127)

    const run = Effect.fnUntraced(function*(command: TerminalCommand) {
      if (lacking !== undefined) return yield* new RuntimeError({ reason: "Unsupported", detail: lacking })
      diary.push(`run ${command.argv.join(" ")}`)
      const output = yield* Queue.bounded<Output, Cause.Done>(16)
      const input = yield* Queue.bounded<string, Cause.Done>(16)
      const resizes = yield* PubSub.sliding<TerminalSize>({ capacity: 16, replay: 1 })
      const ended = yield* Deferred.make<number>()
      const say = (text: string) =>
        Effect.asVoid(
          Queue.offer(output, {
            stream: "stdout",
            bytes: new TextEncoder().encode(text.replaceAll(/\r?\n/g, "\r\n"))
          })
        )
      yield* PubSub.publish(resizes, { width: 80, height: 24 })
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          if (!Deferred.isDoneUnsafe(ended)) diary.push("hung up")
        })
      )
      yield* program({ command, print: say, typed: Stream.fromQueue(input), sizes: Stream.fromPubSub(resizes) }).pipe(
        Effect.tap((code) => Effect.sync(() => void diary.push(`ended ${code}`))),
        Effect.flatMap((code) => Deferred.succeed(ended, code)),
        Effect.ensuring(Queue.end(output)),
        Effect.forkScoped
      )
      const streams: ProcessStreams = {
        stdin: Effect.fnUntraced(function*(bytes) {
          const [text = "", ...after] = new TextDecoder().decode(bytes).replaceAll("\r", "\n").split("\x04")
          if (text !== "") yield* Effect.andThen(say(text), Queue.offer(input, text))
          if (after.length > 0) yield* Queue.end(input)
        }),
        endStdin: Effect.asVoid(Queue.end(input)),
        resize: (size) =>
          Effect.suspend(() => {
            diary.push(`resize ${size.width}x${size.height}`)
            return Effect.asVoid(PubSub.publish(resizes, size))
          }),
        output: Stream.fromQueue(output),
        exitCode: Deferred.await(ended)
      }
      return streams
    })

    return Context.make(MemoryTerminals, {
      program: (next) => Effect.sync(() => void (program = next)),
      missing: (sentence) => Effect.sync(() => void (lacking = sentence)),
      diary: Effect.sync(() => [...diary])
    }).pipe(Context.add(Terminals, Terminals.of({ run })))
  }))
}
