/** Connects to ports of a pod from within its network, as a kubelet does: what listens on the pod's localhost alone hears nobody else. */
import { NodeSocket } from "@effect/platform-node"
import { Effect, RcMap } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { accessSync, closeSync, constants, openSync, readFileSync } from "node:fs"
import { Socket } from "node:net"
import type { RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import { openConnection } from "./connection.ts"
import type { DialAnswered } from "./dialProgram.ts"
import { dialProgramArgument } from "./dialProgramArgument.ts"
import { unavailable } from "./DockerClient.ts"

/** A program stays in a pod's network for as long after its last connection was made. */
const idle = "30 seconds"
/** Programs at a time: each weighs as much as a small program of node. */
const mostPods = 8
/** Both families of addresses, after a program has started on a busy device. */
const patience = "20 seconds"

const where = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]

const findNsenter = (): string | undefined =>
  where.map((folder) => `${folder}/nsenter`).find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })

/**
 * The network of a container's first process. The engine's process numbers are those of its own host: the process is the container's
 * only where its mounts or its cgroup say so.
 */
const openNetwork = (id: string, pid: number): number | undefined => {
  try {
    const network = openSync(`/proc/${pid}/ns/net`, "r")
    const its = ["mountinfo", "cgroup"].some((file) => readFileSync(`/proc/${pid}/${file}`, "utf8").includes(id))
    if (its) return network
    closeSync(network)
    return undefined
  } catch {
    return undefined
  }
}

type Told = (answered: DialAnswered, socket: Socket | undefined) => void

interface Dialler {
  /** Calls back once, unless the returned function is called before. */
  readonly ask: (port: number, told: Told) => () => void
  /** It will answer nothing any more. */
  readonly isGone: () => boolean
}

/** Where the network of the descriptor is its own; it ends with the scope, or with this process. */
const startDialler = (nsenter: string, program: ReadonlyArray<string>, network: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(nsenter, ["--net=/proc/self/fd/4", "--", ...program, dialProgramArgument], {
        stdio: ["ignore", "ignore", "ignore", "ipc", network],
        env: { PATH: where.join(":") },
        cwd: "/"
      })
      closeSync(network)
      const waiting = new Map<number, Told>()
      let last = 0
      let gone: string | undefined
      const end = (why: string) => {
        gone = why
        for (const [id, told] of waiting) told({ id, refusal: why }, undefined)
        waiting.clear()
      }
      child.once("error", (error) => end(error.message))
      child.once("exit", (code, signal) => end(`the program in its network ended (${signal ?? code})`))
      child.on("message", (answered: DialAnswered, handed) => {
        const socket = handed instanceof Socket ? handed : undefined
        const told = waiting.get(answered.id)
        waiting.delete(answered.id)
        if (told === undefined) socket?.destroy()
        else told(answered, socket)
      })
      const dialler: Dialler = {
        isGone: () => gone !== undefined,
        ask: (port, told) => {
          const id = ++last
          if (gone !== undefined) {
            told({ id, refusal: gone }, undefined)
            return () => {}
          }
          waiting.set(id, told)
          child.send({ id, port }, (error) => error === null ? undefined : end(error.message))
          return () => void waiting.delete(id)
        }
      }
      return { child, dialler }
    }),
    ({ child }) => ended(child)
  ).pipe(Effect.map(({ dialler }) => dialler))

const ended = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })

/** A container as the engine tells of it; 0 is the process of one that does not run. */
export interface Running {
  readonly id: string
  readonly pid: number
}

const unreachable = unavailable(
  "what listens on the pod's localhost alone is reached only where arhat is root on the engine's own host and has nsenter"
)

/** `program` runs `runDialProgram`. Fails where the network cannot be had, and where nobody listens in it. */
export const makePodNetworks = Effect.fnUntraced(function*(program: ReadonlyArray<string>) {
  const nsenter = process.getuid?.() === 0 ? findNsenter() : undefined
  const diallers = yield* RcMap.make({
    lookup: (key: string) => {
      const [id = "", pid = "0"] = key.split(" ")
      const network = nsenter === undefined ? undefined : openNetwork(id, Number(pid))
      return nsenter === undefined || network === undefined
        ? Effect.fail(unreachable)
        : startDialler(nsenter, program, network)
    },
    idleTimeToLive: idle,
    capacity: mostPods
  })

  return Effect.fnUntraced(function*({ id, pid }: Running, port: number) {
    const key = `${id} ${pid}`
    let socket: Socket | undefined
    yield* Effect.addFinalizer(() => Effect.sync(() => void socket?.destroy()))
    const made = yield* Effect.scoped(Effect.gen(function*() {
      const dialler = yield* Effect.mapError(
        RcMap.get(diallers, key),
        (error) => error._tag === "RuntimeError" ? error : unavailable(`${mostPods} pods are forwarded to already`)
      )
      const asked = Effect.callback<Socket, RuntimeError>((resume) => {
        const forget = dialler.ask(port, ({ refusal }, handed) => {
          socket = handed
          resume(
            handed === undefined
              ? Effect.fail(
                unavailable(`nobody answers at port ${port} of the pod's localhost: ${refusal ?? "it is gone"}`)
              )
              : Effect.succeed(handed)
          )
        })
        return Effect.sync(forget)
      })
      return yield* Effect.tapError(
        asked,
        () => dialler.isGone() ? RcMap.invalidate(diallers, key) : Effect.void
      )
    })).pipe(
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () => Effect.fail(unavailable(`port ${port} of the pod's localhost did not answer in time`))
      })
    )
    // Handed over connections end both ways at the first end, unless told.
    made.allowHalfOpen = true
    return yield* openConnection(yield* NodeSocket.fromDuplex(Effect.succeed(made), { chunkSize: 16 }))
  })
})
