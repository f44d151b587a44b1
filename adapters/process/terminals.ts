/**
 * Commands on pseudo-terminals. Node has none, so util-linux's `script` holds the terminal: it moves bytes both ways without waiting
 * for either side alone, and gives back the exit code of its command.
 */
import { type Cause, Deferred, Effect, Layer, Queue, Stream } from "effect"
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { chownSync, readlinkSync, statSync } from "node:fs"
import type { Readable, Writable } from "node:stream"
import { type Output, type ProcessStreams, RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import { type TerminalCommand, Terminals } from "../../core/pod/Terminals.ts"
import { unavailable } from "./disk.ts"
import { feed, signalNumber, writeTo } from "./interact.ts"
import { endGroup, hangUp, leaderOf, type SessionLeader } from "./session.ts"
import { encodeLines } from "./shim.ts"
import { findProgram, SYSTEM_PATH, unsupported } from "./tools.ts"

/** From asking for a terminal to the command running on it; a device may be very busy. */
const SEATED_WITHIN = "60 seconds"
const RESIZED_WITHIN = "5 seconds"
/** What `script` says when it cannot make a terminal. */
const MOST_WORDS = 1000

const ENVIRONMENT = { PATH: SYSTEM_PATH, LC_ALL: "C" }

/**
 * Runs on the new terminal: takes an argument vector from descriptor 3, says on 4 who it is, waits for leave, and becomes the
 * command. The text is fixed; what comes from users stays in quoted parameters, nothing of it is ever evaluated. `script` has
 * switched echo off because its own input is no terminal.
 */
const SEAT = String.raw`
IFS= read -r count <&3 || exit 126
set --
while [ "$count" -gt 0 ]; do
  IFS= read -r line <&3 || exit 126
  case $line in
    *\\*) line=$(printf '%b.' "$line"); line=$${"{"}line%.} ;;
  esac
  set -- "$@" "$line"
  count=$((count - 1))
done
stty echo rows 24 cols 80 || exit 126
echo "$$" >&4
IFS= read -r leave <&3 || exit 126
exec 3<&- 4>&-
exec "$@"
`

/** The sentence about what is missing, or undefined. Asked once: busybox has a `script` that gives no exit code. */
const findMissing: Effect.Effect<string | undefined> = Effect.gen(function*() {
  const missing = (["script", "stty", "env"] as const).filter((name) => findProgram(name) === undefined)
  if (missing.length > 0) {
    return `a terminal needs ${missing.join(", ")} (util-linux and coreutils), which this device does not have`
  }
  const version = yield* Effect.callback<string>((resume) => {
    const asked = execFile(
      findProgram("script") ?? "script",
      ["--version"],
      { env: ENVIRONMENT, timeout: 5000 },
      (_error, stdout) => resume(Effect.succeed(stdout))
    )
    return Effect.sync(() => void asked.kill("SIGKILL"))
  })
  return version.includes("util-linux")
    ? undefined
    : "a terminal needs the script command of util-linux, this device has another one (busybox?)"
})

/** The first line that comes, or undefined when none does. */
const firstLine = (from: Readable) =>
  Effect.callback<string | undefined>((resume) => {
    let text = ""
    from.on("data", (bytes: Buffer) => {
      text = (text + bytes.toString("latin1")).slice(0, 100)
      if (text.includes("\n")) resume(Effect.succeed(text.split("\n")[0]))
    })
    from.once("error", () => resume(Effect.undefined))
    from.once("close", () => resume(Effect.undefined))
  })

/** By what the shell of the seat never redirects: a read or an echo of its has another input or output meanwhile. */
const terminalOf = (pid: number): string | undefined => {
  try {
    const path = readlinkSync(`/proc/${pid}/fd/2`)
    return /^\/dev\/pts\/[0-9]+$/.test(path) ? path : undefined
  } catch {
    return undefined
  }
}

/** Gives a terminal another size; whoever is in its foreground gets SIGWINCH. One that is gone has none. */
export const resizeTerminal = (
  path: string,
  { height, width }: { readonly width: number; readonly height: number }
): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const asked = execFile(
      findProgram("stty") ?? "stty",
      ["-F", path, "rows", `${height}`, "cols", `${width}`],
      { env: ENVIRONMENT },
      () => resume(Effect.void)
    )
    return Effect.sync(() => void asked.kill("SIGKILL"))
  }).pipe(Effect.timeoutOption(RESIZED_WITHIN), Effect.asVoid)

export interface TerminalMaker {
  /** The sentence about what is missing, or undefined. */
  readonly missing: Effect.Effect<string | undefined>
  readonly run: Terminals["Service"]["run"]
}

export const makeTerminals: Effect.Effect<TerminalMaker> = Effect.gen(function*() {
  const missing = yield* Effect.cached(findMissing)

  const run = Effect.fnUntraced(function*({ argv, environment, owner }: TerminalCommand) {
    const lacking = yield* missing
    if (lacking !== undefined) return yield* unsupported(lacking)
    if ([...argv, ...Object.entries(environment).flat()].some((text) => text.includes("\0"))) {
      return yield* new RuntimeError({ reason: "Invalid", detail: "a NUL byte cannot be given to a process" })
    }
    const ended = yield* Deferred.make<number>()
    let leader: SessionLeader | undefined
    let words = ""
    const child = yield* Effect.acquireRelease(
      Effect.callback<ChildProcess, RuntimeError>((resume) => {
        const child = spawn(findProgram("script") ?? "script", ["-qefc", SEAT, "/dev/null"], {
          detached: true,
          cwd: "/",
          env: { ...ENVIRONMENT, SHELL: findProgram("sh") ?? "/bin/sh" },
          stdio: ["pipe", "pipe", "pipe", "pipe", "pipe"]
        })
        child.stdout?.on("readable", () => {}) // else node throws output away when the process ends before anybody reads
        child.stderr?.on("data", (bytes: Buffer) => (words = (words + bytes.toString()).slice(0, MOST_WORDS)))
        for (const stream of child.stdio) stream?.on("error", () => {}) // it ended before it read everything
        child.once("spawn", () => resume(Effect.succeed(child)))
        child.on("error", (error) => resume(Effect.fail(unavailable(`cannot make a terminal: ${error.message}`))))
        child.once("exit", (code, name) => Deferred.doneUnsafe(ended, Effect.succeed(code ?? signalNumber(name))))
      }),
      (child) =>
        Effect.gen(function*() {
          const over = child.pid === undefined || child.exitCode !== null || child.signalCode !== null
          // With `script` goes the terminal, which the kernel tells the session.
          if (!over) child.kill("SIGKILL")
          for (const stream of child.stdio) stream?.destroy()
          if (leader === undefined) return
          if (over) endGroup(leader)
          else yield* hangUp(leader)
        })
    )
    const [, , , orders, answers] = child.stdio as ReadonlyArray<Readable | Writable | null>
    const full = [
      findProgram("env") ?? "env",
      "-i",
      "--",
      ...Object.entries(environment).map(([name, value]) => `${name}=${value}`),
      ...argv
    ]
    yield* writeTo(orders as Writable, Buffer.from(`${full.length}\n${encodeLines(full)}`))
    const pid = yield* firstLine(answers as Readable).pipe(
      Effect.raceFirst(Effect.as(Deferred.await(ended), undefined)),
      Effect.timeoutOption(SEATED_WITHIN)
    )
    if (pid._tag === "None" || pid.value === undefined) {
      const said = words.trim().replaceAll("\n", " ")
      return yield* unavailable(`cannot make a terminal${said === "" ? ": script does not answer" : `: ${said}`}`)
    }
    leader = leaderOf(Number(pid.value))
    const path = terminalOf(Number(pid.value))
    if (path !== undefined && owner !== undefined && process.getuid?.() === 0) {
      yield* Effect.ignore(Effect.try(() => chownSync(path, owner, statSync(path).gid)))
    }
    yield* writeTo(orders as Writable, Buffer.from("\n"))
    orders?.destroy()
    answers?.destroy()

    const { stdin, stdout } = child
    const queue = yield* Queue.bounded<Output, Cause.Done>(16)
    yield* (stdout === null ? Effect.void : feed(stdout, "stdout", queue)).pipe(
      Effect.andThen(Deferred.await(ended)),
      Effect.ensuring(Queue.end(queue)),
      Effect.forkScoped
    )
    const streams: ProcessStreams = {
      stdin: (bytes) => (stdin === null ? Effect.void : writeTo(stdin, bytes)),
      endStdin: Effect.sync(() => void stdin?.end()),
      resize: (size) =>
        Effect.suspend(() =>
          path === undefined || Deferred.isDoneUnsafe(ended) ? Effect.void : resizeTerminal(path, size)
        ),
      output: Stream.fromQueue(queue),
      exitCode: Deferred.await(ended)
    }
    return streams
  })
  return { missing, run }
})

/** For whoever runs commands on this device outside of pods. */
export const layer: Layer.Layer<Terminals> = Layer.effect(
  Terminals,
  Effect.map(makeTerminals, ({ run }) => Terminals.of({ run }))
)
