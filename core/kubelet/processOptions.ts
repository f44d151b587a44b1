/** Which streams of a process a request asks for. */
import { Result, Schema } from "effect"
import type { ExecSpec } from "../pod/ContainerRuntime.ts"
import type { Query } from "./KubeletRequest.ts"

export class InvalidProcessOptions extends Schema.TaggedError<InvalidProcessOptions>()("InvalidProcessOptions", {
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}

/** The kubelet's own names, which the API server uses, and those of the API for who asks directly. */
const names = {
  stdin: ["input", "stdin"],
  stdout: ["output", "stdout"],
  stderr: ["error", "stderr"],
  tty: ["tty"]
} as const

const truths = new Set(["1", "true", "TRUE", "True", "t", "T"])
/** The API server refuses longer URLs long before. */
const mostArguments = 4096

export const parseProcessOptions = (query: Query): Result.Result<ExecSpec, InvalidProcessOptions> => {
  const asked = (option: keyof typeof names) =>
    query.some(([name, value]) => (names[option] as ReadonlyArray<string>).includes(name) && truths.has(value))
  const tty = asked("tty")
  const options = {
    command: query.flatMap(([name, value]) => name === "command" ? [value] : []),
    stdin: asked("stdin"),
    stdout: asked("stdout"),
    // A terminal has one output.
    stderr: asked("stderr") && !tty,
    tty
  }
  if (!options.stdin && !options.stdout && !options.stderr) {
    return Result.fail(
      new InvalidProcessOptions({ detail: "you must specify at least 1 of stdin, stdout, stderr" })
    )
  }
  return options.command.length > mostArguments
    ? Result.fail(new InvalidProcessOptions({ detail: `a command has at most ${mostArguments} words` }))
    : Result.succeed(options)
}
