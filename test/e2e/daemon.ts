/** A program the end-to-end tests keep running: it lives as long as its scope and never outlives it. */
import { Deferred, type Duration, Effect, Option, Schema, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, openSync, readFileSync } from "node:fs"
import { findProgram, minimalEnvironment } from "./program.ts"

export class DaemonFailed extends Schema.TaggedError<DaemonFailed>()("DaemonFailed", {
  name: Schema.String,
  problem: Schema.String,
  /** The last lines it wrote. */
  log: Schema.String
}) {
  override get message() {
    return `${this.name} ${this.problem}${this.log === "" ? "" : `; its last words:\n${this.log}`}`
  }
}

export interface DaemonOptions {
  /** How messages speak of it. */
  readonly name: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** Added to a minimal environment; the tests' own environment is not handed on. */
  readonly env?: Readonly<Record<string, string>>
  /** Both output streams are appended here. */
  readonly logFile: string
  /** How long it may take to end after SIGTERM before SIGKILL; 10 seconds unless told. */
  readonly patience?: Duration.Input
  /** What the kernel sends it when the tests themselves are killed; SIGKILL unless told. */
  readonly whenOrphaned?: "SIGTERM" | "SIGKILL"
}

export interface Daemon {
  readonly name: string
  readonly pid: number
  /** The last lines it wrote. */
  readonly lastWords: Effect.Effect<string>
  /** Fails when it ends, whatever its exit code. */
  readonly ended: Effect.Effect<never, DaemonFailed>
  /** Ends it and returns when it is gone; closing the scope does the same. */
  readonly stop: Effect.Effect<void>
}

/** Starts a program. Where setpriv is installed the kernel also ends it when the tests themselves are killed. */
export const startDaemon = (options: DaemonOptions): Effect.Effect<Daemon, DaemonFailed, Scope.Scope> =>
  Effect.acquireRelease(launch(options), (daemon) => daemon.stop)

const launch = Effect.fnUntraced(function*(options: DaemonOptions) {
  const { name } = options
  const lastWords = lastLines(options.logFile)
  const exit = yield* Deferred.make<string>()
  const child = yield* spawned(options)
  child.once(
    "exit",
    (code, signal) =>
      Deferred.doneUnsafe(exit, Effect.succeed(signal === null ? `exited with code ${code}` : `was ended by ${signal}`))
  )

  const stop = Effect.gen(function*() {
    child.kill("SIGTERM")
    const left = yield* Deferred.await(exit).pipe(Effect.timeoutOption(options.patience ?? "10 seconds"))
    if (Option.isSome(left)) return
    child.kill("SIGKILL")
    yield* Deferred.await(exit)
  })
  const ended = Effect.gen(function*() {
    const problem = yield* Deferred.await(exit)
    return yield* new DaemonFailed({ name, problem, log: yield* lastWords })
  })
  return { name, pid: child.pid!, lastWords, ended, stop } satisfies Daemon
})

const spawned = (options: DaemonOptions) =>
  Effect.callback<ChildProcess, DaemonFailed>((resume) => {
    const { args, command, name } = options
    const setpriv = findProgram("setpriv")
    const log = openSync(options.logFile, "a", 0o600)
    const child = spawn(
      Option.getOrElse(setpriv, () => command),
      Option.isSome(setpriv) ? ["--pdeathsig", options.whenOrphaned ?? "SIGKILL", "--", command, ...args] : args,
      { stdio: ["ignore", log, log], env: { ...minimalEnvironment(), ...options.env } }
    )
    closeSync(log)
    child.once("spawn", () => resume(Effect.succeed(child)))
    child.once("error", (error) =>
      resume(Effect.fail(new DaemonFailed({ name, problem: `cannot be started: ${error.message}`, log: "" }))))
  })

const lastLines = (file: string) =>
  Effect.sync(() => {
    try {
      return readFileSync(file, "utf8").trimEnd().split("\n").slice(-12).join("\n")
    } catch {
      return ""
    }
  })

/** Repeats a probe until it succeeds; fails at once when the daemon ends, and at the limit with the probe's last complaint. */
export const untilReady = Effect.fnUntraced(
  function*<A, E extends { readonly message: string }, R>(
    daemon: Daemon,
    probe: Effect.Effect<A, E, R>,
    limit: Duration.Input
  ) {
    let complaint = "no answer"
    return yield* probe.pipe(
      Effect.timeout("5 seconds"),
      Effect.tapError((error) => Effect.delay(Effect.sync(() => complaint = error.message), "100 millis")),
      Effect.eventually,
      Effect.raceFirst(daemon.ended),
      Effect.timeoutOrElse({
        duration: limit,
        orElse: () =>
          Effect.flatMap(
            daemon.lastWords,
            (log) =>
              Effect.fail(new DaemonFailed({ name: daemon.name, problem: `is not ready in time (${complaint})`, log }))
          )
      })
    )
  }
)
