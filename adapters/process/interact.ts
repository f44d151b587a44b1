/** Talks to processes: commands run beside a container's own, its input, and TCP ports. */
import { NodeSocket } from "@effect/platform-node"
import { Cause, Deferred, Effect, Exit, Queue, Scope, Stream } from "effect"
import { Socket } from "effect/socket"
import { type ChildProcess, spawn } from "node:child_process"
import { constants, openSync } from "node:fs"
import { Socket as NetSocket } from "node:net"
import { constants as system } from "node:os"
import type { Readable, Writable } from "node:stream"
import {
  type Duplex,
  type ExecSpec,
  type Output,
  type ProcessStreams,
  RuntimeError
} from "../../core/pod/ContainerRuntime.ts"
import { unavailable } from "./disk.ts"
import { endSession, leaderOf, type SessionLeader } from "./session.ts"

/** Writes with the pipe's own back-pressure; what nobody reads any more is dropped, as a shell would. */
export const writeTo = (stream: Writable, bytes: Uint8Array): Effect.Effect<void, RuntimeError> =>
  Effect.callback((resume) => {
    if (stream.destroyed || stream.writableEnded) return resume(Effect.void)
    const done = () => {
      stream.off("close", done)
      resume(Effect.void)
    }
    stream.once("close", done)
    stream.write(bytes, done)
  })

/** Pulls a pipe only as fast as it is consumed. */
export const feed = (
  from: Readable,
  stream: Output["stream"],
  queue: Queue.Queue<Output, Cause.Done>
): Effect.Effect<void> =>
  Stream.fromAsyncIterable(from as AsyncIterable<Uint8Array>, () => "broken" as const).pipe(
    Stream.runForEach((bytes) => Queue.offer(queue, { stream, bytes })),
    Effect.ignore
  )

/**
 * Runs `argv` with an empty environment but the given. It leads a session of its own; when the scope closes before its output has
 * ended, all of that session ends.
 */
export const runCommand = Effect.fnUntraced(function*(
  argv: ReadonlyArray<string>,
  environment: Readonly<Record<string, string>>,
  spec: Omit<ExecSpec, "command">
) {
  const [program = "", ...args] = argv
  const ended = yield* Deferred.make<number, RuntimeError>()
  let leader: SessionLeader | undefined
  let over = false
  const child = yield* Effect.acquireRelease(
    Effect.callback<ChildProcess, RuntimeError>((resume) => {
      const child = spawn(program, args, {
        detached: true,
        cwd: "/",
        env: environment,
        stdio: [spec.stdin ? "pipe" : "ignore", spec.stdout ? "pipe" : "ignore", spec.stderr ? "pipe" : "ignore"]
      })
      // Without a listener node throws output away when the process ends before anybody reads.
      for (const output of [child.stdout, child.stderr]) output?.on("readable", () => {})
      // Nobody else can have the number before this process has looked after its child.
      leader = child.pid === undefined ? undefined : leaderOf(child.pid)
      child.once("spawn", () => resume(Effect.succeed(child)))
      child.on("error", (error) => resume(Effect.fail(unavailable(`cannot run ${program}: ${error.message}`))))
      child.once(
        "exit",
        (code, name) => Deferred.doneUnsafe(ended, Effect.succeed(code ?? signalNumber(name)))
      )
      child.stdin?.on("error", () => {}) // it ended before it read everything
    }),
    () => over || leader === undefined ? Effect.void : endSession(leader)
  )
  const queue = yield* Queue.bounded<Output, Cause.Done>(16)
  yield* Effect.all([
    child.stdout === null ? Effect.void : feed(child.stdout, "stdout", queue),
    child.stderr === null ? Effect.void : feed(child.stderr, "stderr", queue)
  ], { concurrency: "unbounded", discard: true }).pipe(
    Effect.andThen(Effect.ignore(Deferred.await(ended))),
    Effect.andThen(Effect.sync(() => void (over = true))),
    Effect.ensuring(Queue.end(queue)),
    Effect.forkScoped
  )
  const streams: ProcessStreams = {
    stdin: (bytes) => (child.stdin === null ? Effect.void : writeTo(child.stdin, bytes)),
    endStdin: Effect.sync(() => {
      child.stdin?.end()
    }),
    resize: () => Effect.void,
    output: Stream.fromQueue(queue),
    exitCode: Deferred.await(ended)
  }
  return streams
})

/** The exit code of what a signal ended; of one without a name, as if it was killed. */
export const signalNumber = (name: NodeJS.Signals | null): number =>
  128 + (system.signals[name ?? "SIGKILL"] ?? system.signals.SIGKILL)

/** The writing end of a container's input; the scope closes it without ending the input, which the shim holds open. */
export const openInput = (path: string) =>
  Effect.acquireRelease(
    Effect.try({
      // Not blocking: a reader that is gone makes this fail instead of waiting for ever.
      try: () => {
        const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
        const socket = new NetSocket({ fd, readable: false, writable: true })
        return socket.on("error", () => {}) // the process ended; what is written from then on goes nowhere
      },
      catch: () => new RuntimeError({ reason: "Invalid", detail: "the container's input is closed" })
    }),
    (socket) =>
      Effect.sync(() => {
        socket.destroy()
      })
  ).pipe(Effect.map((socket) => ({
    write: (bytes: Uint8Array) => writeTo(socket, bytes),
    close: Effect.callback<void>((resume) => {
      socket.end(() => resume(Effect.void))
    })
  })))

const DIAL_TIMEOUT = "5 seconds"

/** What the system said, where it said something. */
const wordsOf = ({ message, reason }: Socket.SocketError): string =>
  "cause" in reason && reason.cause instanceof Error && reason.cause.message !== "" ? reason.cause.message : message

/** Process pods live on the host's own network. What listens on one family alone is found too. */
export const dialLocal = (port: number) =>
  Effect.catch(
    dialHost("127.0.0.1", port),
    (refused) => Effect.mapError(dialHost("::1", port), () => refused)
  )

const dialHost = Effect.fnUntraced(function*(host: string, port: number) {
  const broken = (error: Socket.SocketError) => unavailable(`the connection broke: ${wordsOf(error)}`)
  const socket = yield* NodeSocket.makeNet({
    host,
    port,
    openTimeout: DIAL_TIMEOUT,
    chunkSize: 16,
    allowHalfOpen: true,
    // What it says has been gathered by whoever is forwarded.
    noDelay: true
  })
  const pull = yield* Effect.mapError(
    Socket.readerBytes(socket),
    (error) => unavailable(`nobody answers at port ${port}: ${wordsOf(error)}`)
  )
  const writing = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
  const writer = yield* Scope.provide(socket.writer, writing)
  let over = false
  const duplex: Duplex = {
    write: (bytes) => Effect.suspend(() => (over ? Effect.void : Effect.mapError(writer.write(bytes), broken))),
    end: Effect.suspend(() => {
      over = true
      return Scope.close(writing, Exit.void)
    }),
    read: Stream.fromEffectRepeat(pull).pipe(
      Stream.flattenIterable,
      Stream.catchTag(
        "SocketError",
        (error) => error.reason._tag === "SocketCloseError" ? Stream.empty : Stream.fail(broken(error))
      )
    )
  }
  return duplex
})
