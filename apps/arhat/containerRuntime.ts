/**
 * The runtime this device has: docker when its socket answers, else plain processes where the owner allows them. Which of the two it
 * was stays written down: docker that comes up after arhat does not make another device of this one, on which all its pods have failed,
 * and one that appears later does not leave processes of pods behind that nobody would ever end.
 */
import { Context, Effect, Layer, Schedule, Schema } from "effect"
import { existsSync, readdirSync } from "node:fs"
import { request } from "node:http"
import { isId } from "../../adapters/process/containerFolder.ts"
import { onDisk, readIfThere, writeWhole } from "../../adapters/process/disk.ts"
import { ContainerRuntime, type RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import { withHostExec } from "../../core/pod/withHostExec.ts"
import type { ArhatConfig } from "./ArhatConfig.ts"
import { thisProgram } from "./thisProgram.ts"

export class NoRuntime extends Schema.TaggedError<NoRuntime>()("NoRuntime", { detail: Schema.String }) {
  override get message() {
    return this.detail
  }
}

const patienceMillis = 5000
/** For processes to end by themselves that must not be there. */
const graceSeconds = 10
const endAgain = "5 seconds"

/** Whether an engine answers on the socket. */
const answers = (socketPath: string) =>
  Effect.callback<boolean>((resume) => {
    const asked = request({ socketPath, path: "/_ping", timeout: patienceMillis, agent: false }, (answer) => {
      answer.resume()
      resume(Effect.succeed(answer.statusCode === 200))
    })
    asked.once("error", () => resume(Effect.succeed(false)))
    asked.once("timeout", () => asked.destroy(new Error("no answer")))
    asked.end()
    return Effect.sync(() => asked.destroy())
  })

const processFolder = ({ arhat }: ArhatConfig) => `${arhat.dataDir}/processes`

/** Commands of the host, and the owner's root filesystems where those are allowed, too. */
const processes = (config: ArhatConfig) =>
  Effect.map(Effect.promise(() => import("../../adapters/process/ProcessRuntime.ts")), ({ layer }) => {
    const { process } = config.runtime
    return layer({
      dataDir: processFolder(config),
      enabled: true,
      allowRoot: process.allowRoot,
      uidRange: { first: process.firstUid, last: process.firstUid + process.uids - 1 },
      images: process.enabled ? process.images : {}
    })
  })

/** Folders of pods that are processes, running or not, those half made or half removed included. */
const processesHere = (config: ArhatConfig) => {
  const folder = `${processFolder(config)}/containers`
  return onDisk(folder, () => existsSync(folder) ? readdirSync(folder) : [])
}

/**
 * Nobody else would end, see or remove what the owner does not allow any more. The agent begins when it is gone, so that its pods are
 * told without it; what does not end in time holds nothing up.
 */
const endProcesses = Effect.fnUntraced(function*(config: ArhatConfig) {
  yield* Effect.logWarning(
    "pods have run as processes of this host, which its owner does not allow: what is left of them is ended and removed. "
      + "runtime.hostexec.enabled allows them beside docker, runtime.process.enabled where docker is not used"
  )
  const runtime = Context.get(yield* Effect.flatMap(processes(config), Layer.build), ContainerRuntime)
  const end = Effect.gen(function*() {
    const ends = (yield* runtime.containers()).map(({ id }) =>
      Effect.andThen(runtime.stop(id, graceSeconds), runtime.remove(id))
    )
    for (const ended of yield* Effect.all(ends, { concurrency: "unbounded", mode: "result" })) {
      yield* Effect.fromResult(ended)
    }
    for (const { id } of yield* runtime.sandboxes()) yield* runtime.removeSandbox(id)
  })
  yield* Effect.catch(end, ({ detail }) =>
    Effect.andThen(
      Effect.logWarning(`some of them are there yet, which is tried again and again: ${detail}`),
      Effect.forkScoped(Effect.retry(end, Schedule.spaced(endAgain)))
    ))
})

/** `docker` or `processes`; undefined before the first start. */
const lastRuntime = (path: string) => onDisk(path, () => readIfThere(path)?.trim())

/** A full disk keeps no runtime from being used. */
const noteRuntime = (path: string, name: string) =>
  onDisk(path, () => writeWhole(path, `${name}\n`)).pipe(Effect.catch((error) => Effect.logWarning(error.message)))

export const containerRuntime = (config: ArhatConfig): Layer.Layer<ContainerRuntime, NoRuntime | RuntimeError> =>
  Layer.unwrap(Effect.gen(function*() {
    const { docker, hostexec, process } = config.runtime
    const device = `${config.arhat.namespace}/${config.arhat.device}`
    const note = `${config.arhat.dataDir}/runtime`
    const last = yield* lastRuntime(note)
    const answered = docker.enabled && (yield* answers(docker.socket))
    // Where hostexec alone is allowed they are its own, and docker has that beside itself.
    const heldBack = answered && process.enabled && last === "processes" && (yield* processesHere(config)).some(isId)
    if (heldBack) {
      yield* Effect.logWarning(
        `docker answers on ${docker.socket}, but pods of this device run as processes, and docker could not end them: it stays `
          + "with processes. To run pods in docker, delete those that are here and restart arhat, or set "
          + "runtime.process.enabled: false and restart the device"
      )
    }
    // The pods wait for an engine that does not answer, at whatever time that is.
    const inDocker = (answered && !heldBack) || (docker.enabled && last === "docker")
    const runsProcesses = hostexec.enabled || (process.enabled && !inDocker)
    if (!runsProcesses && (yield* processesHere(config)).length > 0) yield* endProcesses(config)
    if (inDocker) {
      if (!answered) {
        yield* Effect.logWarning(
          `docker, in which this device's pods run, does not answer on ${docker.socket}: they wait for it. `
            + "To run them as processes instead, set runtime.docker.enabled: false"
        )
      }
      if (last !== "docker") yield* noteRuntime(note, "docker")
      yield* Effect.logInfo(
        `pods run in docker (${docker.socket})${hostexec.enabled ? ", those of hostexec on this very host" : ""}`
      )
      // Loaded only where it is used: an agent of 80 MB has no room for what it does not need.
      const { layer } = yield* Effect.promise(() => import("../../adapters/docker/DockerRuntime.ts"))
      const engine = Layer.build(
        layer({ socketPath: docker.socket, device, pauseImage: docker.pauseImage, dialProgram: thisProgram() })
      )
      const host = hostexec.enabled ? Effect.flatMap(processes(config), Layer.build) : undefined
      return Layer.effect(
        ContainerRuntime,
        Effect.gen(function*() {
          const below = host === undefined ? undefined : Context.get(yield* host, ContainerRuntime)
          return withHostExec(Context.get(yield* engine, ContainerRuntime), below)
        })
      )
    }
    if (process.enabled || hostexec.enabled) {
      if (last !== "processes") yield* noteRuntime(note, "processes")
      yield* Effect.logInfo("pods run as plain processes of this host")
      return yield* processes(config)
    }
    return yield* new NoRuntime({
      detail: docker.enabled
        ? `no docker engine answers on ${docker.socket}: start it, mend runtime.docker.socket, or set runtime.process.enabled`
        : "no container runtime is enabled: set runtime.docker.enabled or runtime.process.enabled"
    })
  }))
