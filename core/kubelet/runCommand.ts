/** `/run`: one command in a container, for callers without streams; its whole output is the answer. */
import { Effect, type Scope, Stream } from "effect"
import type { ExecSpec, ProcessStreams } from "../pod/ContainerRuntime.ts"
import { type KubeletAnswer, words } from "./KubeletAnswer.ts"
import type { StreamFailure } from "./KubeletBackend.ts"
import type { Query } from "./KubeletRequest.ts"

/** The status depends on how the command ends, so its output is kept until then. */
const mostOutput = 1024 * 1024
/** As many words as exec takes. */
const mostWords = 4096

/**
 * A kubelet splits `cmd` at blanks, from the form of a POST or the query; its first value counts. `command`, a word each as exec
 * has it, is for words that have blanks themselves. Empty where there is none.
 */
export const commandToRun = (form: Query, query: Query): ReadonlyArray<string> => {
  const all = [...form, ...query]
  const command = all.flatMap(([name, value]) => name === "command" ? [value] : [])
  const line = all.find(([name]) => name === "cmd")?.[1] ?? ""
  return command.length > 0 ? command : line.split(" ").filter((word) => word !== "")
}

const joined = (pieces: ReadonlyArray<Uint8Array>) => pieces.map((piece) => new TextDecoder().decode(piece)).join("")

/** Both outputs as they came, where the command ends well; else 500 and how it ended, as a kubelet has it. */
export const runCommand = (
  command: ReadonlyArray<string>,
  exec: (spec: ExecSpec) => Effect.Effect<ProcessStreams, StreamFailure, Scope.Scope>
): Effect.Effect<KubeletAnswer> => {
  if (command.length === 0) {
    return Effect.succeed(words(400, "a command to run must be given: cmd, in the query or in a form"))
  }
  if (command.length > mostWords) return Effect.succeed(words(400, `a command has at most ${mostWords} words`))
  return Effect.gen(function*() {
    const process = yield* exec({ command, stdin: false, stdout: true, stderr: true, tty: false })
    const pieces: Array<Uint8Array> = []
    let size = 0
    yield* process.output.pipe(
      Stream.takeWhile(({ bytes }) => {
        size += bytes.length
        return size <= mostOutput
      }),
      Stream.runForEach(({ bytes }) => Effect.sync(() => void pieces.push(bytes)))
    )
    if (size > mostOutput) {
      return words(500, `the command was ended: it wrote more than ${mostOutput} bytes; exec has no such limit`)
    }
    const code = yield* process.exitCode
    return code === 0
      ? { _tag: "Bytes" as const, bytes: Stream.fromIterable(pieces) }
      : words(500, `command '${command.join(" ")}' exited with ${code}: ${joined(pieces)}`)
  }).pipe(
    Effect.scoped,
    Effect.catch((error) => Effect.succeed(words(500, error.message)))
  )
}
