/** One program of the demo: started, its log kept in a file, ended with the demo whatever happens. */
import { Effect, Schema } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, openSync, readFileSync } from "node:fs"

export class ChildFailed extends Schema.TaggedError<ChildFailed>()("ChildFailed", {
  name: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `${this.name} ${this.detail}`
  }
}

export interface Child {
  readonly name: string
  readonly logFile: string
  readonly pid: number
  /** Fails when the program ends by itself. */
  readonly ended: Effect.Effect<never, ChildFailed>
}

const lastLines = (file: string) => readFileSync(file, "utf8").trimEnd().split("\n").slice(-5).join("\n  ")

const exited = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null

/** SIGTERM, and SIGKILL for what does not listen. */
const end = (child: ChildProcess, patienceMillis: number) =>
  Effect.callback<void>((resume) => {
    if (exited(child)) return resume(Effect.void)
    const timer = setTimeout(() => child.kill("SIGKILL"), patienceMillis)
    child.once("exit", () => {
      clearTimeout(timer)
      resume(Effect.void)
    })
    child.kill("SIGTERM")
  })

/** Runs a TypeScript main of this repository under the same Node. */
export const startChild = Effect.fnUntraced(function*(
  name: string,
  main: string,
  args: ReadonlyArray<string>,
  options: {
    readonly logFile: string
    readonly env?: Readonly<Record<string, string>>
    readonly patienceMillis?: number
  }
) {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const log = openSync(options.logFile, "a", 0o640)
      const started = spawn(process.execPath, [main, ...args], {
        stdio: ["ignore", log, log],
        env: { ...process.env, ...options.env },
        // Ctrl-C reaches the demo alone, which ends its children in order.
        detached: true
      })
      closeSync(log)
      return started
    }),
    (started) => end(started, options.patienceMillis ?? 10_000)
  )
  return {
    name,
    logFile: options.logFile,
    pid: child.pid ?? 0,
    ended: Effect.callback<never, ChildFailed>((resume) => {
      const fail = (detail: string) =>
        resume(
          Effect.fail(
            new ChildFailed({
              name,
              detail: `${detail}; its log ${options.logFile} ends with\n  ${lastLines(options.logFile)}`
            })
          )
        )
      if (exited(child)) return fail(`ended with ${child.signalCode ?? child.exitCode}`)
      child.once("error", (error) => fail(`could not be started: ${error.message}`))
      child.once("exit", (code, signal) => fail(`ended with ${signal ?? code}`))
    })
  } satisfies Child
})
