/** An image registry on a loopback port that asks for a user name and a password, as Debian's docker-registry package has it. */
import { Effect, Option, Schema, type Scope } from "effect"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type DaemonFailed, startDaemon, untilReady } from "./daemon.ts"
import { freePorts } from "./freePorts.ts"
import { findProgram } from "./program.ts"

export interface Registry {
  /** Host and port, the first part of an image name. Engines speak plain HTTP to registries on 127.0.0.0/8. */
  readonly address: string
  readonly username: string
  readonly password: string
  /** The value of `X-Registry-Auth` for a push or a pull through an Engine. */
  readonly engineAuth: string
  /** The contents of a `kubernetes.io/dockerconfigjson` Secret's `.dockerconfigjson`. */
  readonly dockerConfigJson: string
}

// With it, what engines are sent is no multiple of three bytes long, and has to be padded.
const username = "edge-1"
// The registry takes bcrypt alone, which node:crypto does not make; this is the hash of the password beside it.
const password = "wires-and-sensors"
const passwordHash = "$2y$05$aranyaDeviceRegistry1uDp0L6lDnxqrLCwJ9QjGz5QuabbC2vBq"

/** Why no registry can be started on this machine, if so. */
export const whyNoRegistry = (): Option.Option<string> =>
  Option.isSome(findProgram("docker-registry"))
    ? Option.none()
    : Option.some("docker-registry is not installed (Debian: docker-registry)")

class RegistryNotReady extends Schema.TaggedError<RegistryNotReady>()("RegistryNotReady", { cause: Schema.Defect() }) {
  override get message() {
    return `the registry does not answer: ${String(this.cause)}`
  }
}

export const startRegistry: Effect.Effect<Registry, DaemonFailed, Scope.Scope> = Effect.gen(function*() {
  const folder = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "aranya-registry-"))),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )
  const [port] = yield* freePorts(1)
  const address = `127.0.0.1:${port}`
  yield* Effect.promise(async () => {
    await writeFile(join(folder, "htpasswd"), `${username}:${passwordHash}\n`)
    // JSON is YAML.
    await writeFile(join(folder, "config.yml"), JSON.stringify(configuration(folder, address)))
  })
  const daemon = yield* startDaemon({
    name: "docker-registry",
    command: "docker-registry",
    args: ["serve", join(folder, "config.yml")],
    logFile: join(folder, "registry.log")
  })
  const asksForPassword = Effect.tryPromise({
    try: async (signal) => {
      const { status } = await fetch(`http://${address}/v2/`, { signal })
      if (status !== 401) throw new Error(`expected 401 without credentials, got ${status}`)
    },
    catch: (cause) => new RegistryNotReady({ cause })
  })
  yield* untilReady(daemon, asksForPassword, "30 seconds")
  return {
    address,
    username,
    password,
    engineAuth: Buffer.from(JSON.stringify({ username, password, serveraddress: address })).toString("base64")
      .replaceAll("+", "-").replaceAll("/", "_"),
    dockerConfigJson: JSON.stringify({ auths: { [address]: { username, password } } })
  }
})

const configuration = (folder: string, address: string) => ({
  version: 0.1,
  log: { level: "warn", accesslog: { disabled: true } },
  storage: { filesystem: { rootdirectory: join(folder, "data") }, delete: { enabled: true } },
  http: { addr: address },
  auth: { htpasswd: { realm: "aranya", path: join(folder, "htpasswd") } }
})
