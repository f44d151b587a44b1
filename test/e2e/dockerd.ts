/** A docker engine for the end-to-end tests: one that answers already, or a dockerd of their own that leaves nothing on the host. */
import { Effect, Option, Schema, type Scope } from "effect"
import { randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type DaemonFailed, startDaemon, untilReady } from "./daemon.ts"
import { type Engine, engineAt, EngineRefused } from "./engine.ts"
import { importImages, whyNoImages } from "./images.ts"
import { findProgram, processesNaming, type ProgramFailed, runProgram, runProgramOk } from "./program.ts"

export interface Docker {
  readonly socketPath: string
  readonly engine: Engine
  readonly version: string
  /** The newest version of the Engine API it speaks, e.g. `1.41`. */
  readonly apiVersion: string
  /** Whether it was started here; nobody else then has containers on it. */
  readonly ours: boolean
}

export interface DockerOptions {
  /** Use an engine that answers at DOCKER_HOST or /var/run/docker.sock when there is one; true unless told. */
  readonly reuse?: boolean
}

const Version = Schema.Struct({ Version: Schema.String, ApiVersion: Schema.String })

const versionOf = Effect.fnUntraced(function*(engine: Engine) {
  const answer = yield* engine.json("GET", "/version", { timeoutSeconds: 5 })
  return yield* Schema.decodeUnknownEffect(Version)(answer).pipe(
    Effect.mapError((error) => new EngineRefused({ call: "GET /version", status: 200, reason: error.message }))
  )
})

/** A connection to an engine that answers, and the test images in it; see `whyNoDocker` for what it needs. */
export const startDocker = Effect.fn("startDocker")(
  function*(options: DockerOptions = {}): Effect.fn.Return<
    Docker,
    DaemonFailed | EngineRefused | ProgramFailed,
    Scope.Scope
  > {
    const running = options.reuse === false ? Option.none() : yield* answeringSocket
    const socketPath = Option.isSome(running) ? running.value : yield* startDockerd
    const engine = yield* engineAt(socketPath)
    const { ApiVersion, Version } = yield* versionOf(engine)
    yield* importImages(engine)
    return { socketPath, engine, version: Version, apiVersion: ApiVersion, ours: Option.isNone(running) }
  }
)

/** Why no engine can be had on this machine, as a sentence to print when tests are skipped; none when one can. */
export const whyNoDocker: Effect.Effect<Option.Option<string>> = Effect.gen(function*() {
  if (Option.isSome(whyNoImages)) return whyNoImages
  if (Option.isSome(yield* answeringSocket)) return Option.none()
  const missing = ["dockerd", "containerd", "runc"].filter((name) => Option.isNone(findProgram(name)))
  const tried = `no docker engine answers at ${candidateSockets().join(" or ")}`
  if (missing.length > 0) return Option.some(`${tried}, and ${missing.join(", ")} is not installed (Debian: docker.io)`)
  if (process.getuid?.() !== 0) return Option.some(`${tried}, and starting dockerd needs root`)
  return Option.none()
})

const candidateSockets = (): ReadonlyArray<string> => {
  const configured = process.env["DOCKER_HOST"] ?? ""
  return [...(configured.startsWith("unix://") ? [configured.slice("unix://".length)] : []), "/var/run/docker.sock"]
}

const answeringSocket: Effect.Effect<Option.Option<string>> = Effect.suspend(() =>
  Effect.firstSuccessOf(
    candidateSockets().map((socket) => Effect.as(Effect.scoped(Effect.flatMap(engineAt(socket), versionOf)), socket))
  )
).pipe(Effect.option)

/** Starts dockerd with its own containerd, bridge and folders; no rule of the host's firewall and no sysctl is touched. */
const startDockerd = Effect.gen(function*() {
  const folder = yield* temporaryFolder
  const bridge = yield* ownBridge
  const socketPath = join(folder, "docker.sock")
  yield* Effect.promise(() => writeFile(join(folder, "daemon.json"), "{}"))
  const daemon = yield* startDaemon({
    name: "dockerd",
    command: Option.getOrElse(findProgram("dockerd"), () => "dockerd"),
    args: [
      ["--config-file", join(folder, "daemon.json")], // else the machine's own configuration would join in
      ["--data-root", join(folder, "data")],
      ["--exec-root", join(folder, "exec")],
      ["--pidfile", join(folder, "dockerd.pid")],
      ["--host", `unix://${socketPath}`],
      // Also a containerd of the system may be found and used: its namespaces must not be the system engine's.
      ["--containerd-namespace", bridge],
      ["--containerd-plugins-namespace", `${bridge}-plugins`],
      ["--bridge", bridge],
      // Without these dockerd rewrites the chains of another engine and leaves its own behind. Published ports still
      // work through its proxy; what is missing is the way from a container to the outside.
      ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"],
      ["--exec-opt", "native.cgroupdriver=cgroupfs"], // no systemd needed
      ["--log-level", "warn"]
    ].flat(),
    logFile: join(folder, "dockerd.log"),
    patience: "20 seconds",
    whenOrphaned: "SIGTERM" // killed, it would leave its containers running
  })
  yield* untilReady(daemon, Effect.scoped(Effect.flatMap(engineAt(socketPath), versionOf)), "60 seconds")
  yield* Effect.addFinalizer(() => emptied(socketPath).pipe(Effect.ignore))
  return socketPath
})

const Listed = Schema.Array(Schema.Struct({ Id: Schema.String }))

/** Removes every container, so that no shim process survives the daemon. */
const emptied = (socketPath: string) =>
  Effect.gen(function*() {
    const engine = yield* engineAt(socketPath)
    const listed = yield* engine.json("GET", "/containers/json", { query: { all: "1" } })
    const containers = yield* Schema.decodeUnknownEffect(Listed)(listed)
    yield* Effect.forEach(containers, ({ Id }) =>
      Effect.ignore(engine.call("DELETE", `/containers/${Id}`, { query: { force: "1", v: "1" } })), { concurrency: 4 })
    yield* engine.call("POST", "/networks/prune")
  }).pipe(Effect.scoped, Effect.timeout("20 seconds"))

const temporaryFolder = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "aranya-docker-"))),
  Effect.fnUntraced(function*(folder) {
    for (const pid of processesNaming(folder)) process.kill(pid, "SIGKILL")
    for (const point of mountPointsBelow(folder)) {
      yield* Effect.ignore(runProgram("busybox", ["umount", "-l", point]))
    }
    yield* Effect.promise(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  })
)

/** Deepest first. */
const mountPointsBelow = (folder: string): ReadonlyArray<string> =>
  readFileSync("/proc/self/mountinfo", "utf8").split("\n").map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point.startsWith(`${folder}/`)).reverse()

const ownBridge = Effect.acquireRelease(
  Effect.gen(function*() {
    const name = `aranya${randomBytes(3).toString("hex")}`
    yield* runProgramOk("busybox", ["ip", "link", "add", "name", name, "type", "bridge"])
    yield* runProgramOk("busybox", ["ip", "addr", "add", `${freeSubnet()}.1/24`, "dev", name])
    yield* runProgramOk("busybox", ["ip", "link", "set", name, "up"])
    return name
  }),
  (name) => Effect.ignore(runProgram("busybox", ["ip", "link", "del", name]))
)

/** The first three numbers of a /24 to which this machine has no way yet; by chance, so that two who look at once differ. */
const freeSubnet = (): string => {
  // Bridges without a container count, which the list of interfaces that are up leaves out. Addresses are little endian there.
  const taken = readFileSync("/proc/net/route", "utf8").split("\n").map((line) => line.split("\t")[1] ?? "")
  const numbers = Array.from({ length: 250 }, (_, index) => index + 1)
  const free = numbers.filter((number) => !taken.includes(`00${hex(number)}${hex(213)}${hex(10)}`))
  return `10.213.${free[randomBytes(1)[0]! % free.length] ?? 251}`
}

const hex = (byte: number) => byte.toString(16).toUpperCase().padStart(2, "0")
