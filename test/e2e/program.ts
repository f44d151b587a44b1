/** Programs of the machine: where they are, running one to its end, and which are still running. */
import { Effect, Option, Schema } from "effect"
import { execFile } from "node:child_process"
import { accessSync, constants, readdirSync, readFileSync } from "node:fs"
import { delimiter, join } from "node:path"

export class ProgramFailed extends Schema.TaggedError<ProgramFailed>()("ProgramFailed", {
  command: Schema.String,
  problem: Schema.String
}) {
  override get message() {
    return `${this.command} ${this.problem}`
  }
}

// Daemons of Debian live in sbin, which is not on everybody's PATH.
const searchPath = () => [...(process.env["PATH"] ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"]

export const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The full path of a program, searched as a shell would and in the sbin folders. */
export const findProgram = (name: string): Option.Option<string> =>
  Option.fromNullishOr(searchPath().map((folder) => join(folder, name)).find(isExecutable))

/** What a started program gets to see of the environment: nothing of the tests' own. */
export const minimalEnvironment = () => ({
  PATH: searchPath().join(delimiter),
  HOME: "/nonexistent",
  LANG: "C.UTF-8"
})

export interface Outcome {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number
}

export interface RunOptions {
  /** Given to the program, then end of file. */
  readonly stdin?: string
  /** Added to the minimal environment. */
  readonly env?: Readonly<Record<string, string>>
}

/** Runs a program to its end; a non-zero exit code is an outcome, not a failure. Interruption kills it. */
export const runProgram = (
  command: string,
  args: ReadonlyArray<string>,
  options: RunOptions = {}
): Effect.Effect<Outcome, ProgramFailed> =>
  Effect.callback((resume) => {
    const child = execFile(command, args, {
      maxBuffer: 64 * 1024 * 1024,
      env: { ...minimalEnvironment(), ...options.env }
    }, (error, stdout, stderr) => {
      if (error === null) return resume(Effect.succeed({ stdout, stderr, exitCode: 0 }))
      if (typeof error.code === "number") return resume(Effect.succeed({ stdout, stderr, exitCode: error.code }))
      resume(Effect.fail(new ProgramFailed({ command, problem: `cannot be run: ${error.message}` })))
    })
    child.stdin?.on("error", () => {}) // a program that reads nothing closes its end; its exit code tells the rest
    child.stdin?.end(options.stdin ?? "")
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** The same, failing with what it wrote to stderr when it does not exit with 0. */
export const runProgramOk = (command: string, args: ReadonlyArray<string>, options: RunOptions = {}) =>
  Effect.flatMap(runProgram(command, args, options), (outcome) =>
    outcome.exitCode === 0
      ? Effect.succeed(outcome)
      : Effect.fail(
        new ProgramFailed({
          command: [command, ...args].join(" "),
          problem: `exited with code ${outcome.exitCode}: ${outcome.stderr.trim()}`
        })
      ))

/** The processes with this text, say a folder of theirs, on their command line; for proving that nothing stays behind. */
export const processesNaming = (text: string): ReadonlyArray<number> =>
  readdirSync("/proc").filter((name) => /^\d+$/.test(name) && name !== String(process.pid)).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text)
    } catch {
      return false // it ended meanwhile
    }
  }).map(Number)
