/** A real mosquitto of the test's own, on free ports; killed with the scope. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePorts } from "../../e2e/freePorts.ts"

const program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto"].find(existsSync)

/** Says so once, loudly, where there is none. */
export const hasMosquitto = program !== undefined
if (!hasMosquitto) {
  console.warn("SKIPPED: no mosquitto here (apt-get install mosquitto): nothing is tested against a real broker")
}

const answers = (port: number) =>
  Effect.callback<boolean>((resume) => {
    const socket = connect(port, "127.0.0.1")
    socket.once("connect", () => resume(Effect.succeed(true)))
    socket.once("error", () => resume(Effect.succeed(false)))
    return Effect.sync(() => socket.destroy())
  }).pipe(Effect.ensuring(Effect.void))

export interface Listener {
  /** `127.0.0.1` unless told. */
  readonly address?: string
  /** Lines of mosquitto.conf that follow its `listener`. */
  readonly lines?: ReadonlyArray<string>
}

export interface Mosquitto {
  readonly ports: ReadonlyArray<number>
  /** Where files named by `files` are. */
  readonly directory: string
  readonly kill: Effect.Effect<void>
  /** On the same ports. */
  readonly start: Effect.Effect<void>
  readonly output: () => string
}

const exited = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })

/** `lines`, `listeners` and `files` may name the directory as `%DIR%`. */
export const mosquitto = Effect.fnUntraced(function*(options: {
  readonly listeners?: ReadonlyArray<Listener>
  readonly lines?: ReadonlyArray<string>
  readonly files?: Readonly<Record<string, string | Uint8Array>>
} = {}): Effect.fn.Return<Mosquitto, never, Scope.Scope> {
  const { files = {}, lines = ["allow_anonymous true"], listeners = [{}] } = options
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "aranya-mosquitto-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  const here = (line: string) => line.replaceAll("%DIR%", directory)
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(directory, name), typeof content === "string" ? here(content) : content, { mode: 0o600 })
  }
  // With websockets alone mosquitto 2.0 believes that it listens nowhere, and ends.
  const [plain, ...ports] = yield* freePorts(1 + listeners.length)
  writeFileSync(
    join(directory, "conf"),
    [
      // As root it would become a user who cannot read these files.
      ...(process.getuid?.() === 0 ? ["user root"] : []),
      "persistence false",
      "log_dest stderr",
      ...lines.map(here),
      `listener ${plain} 127.0.0.1`,
      ...listeners.flatMap(({ address = "127.0.0.1", lines = [] }, at) => [
        `listener ${ports[at]} ${address}`,
        ...lines.map(here)
      ]),
      ""
    ].join("\n")
  )
  let child: ChildProcess | undefined
  let output = ""
  const kill = Effect.suspend(() => {
    const running = child
    child = undefined
    if (running === undefined) return Effect.void
    running.kill("SIGKILL")
    return exited(running)
  })
  const start = Effect.gen(function*() {
    child = spawn(program ?? "mosquitto", ["-c", join(directory, "conf")], { stdio: ["ignore", "ignore", "pipe"] })
    child.stderr?.on("data", (text: Buffer) => (output = (output + text.toString()).slice(-20_000)))
    for (const port of ports) {
      while (!(yield* answers(port))) {
        if (child.exitCode !== null) throw new Error(`mosquitto ended: ${output}`)
        yield* Effect.sleep("20 millis")
      }
    }
  })
  yield* Effect.acquireRelease(start, () => kill)
  return { ports, directory, kill, start, output: () => output }
})
