/** What stands behind the layers: a process that says back its input, and a port that does the same. */
import { Cause, Effect, Queue, type Scope, Stream } from "effect"
import type { Upgrading } from "../../adapters/kubelet/upgrade.ts"
import { serveForward } from "../../core/kubelet/serveForward.ts"
import { serveProcess } from "../../core/kubelet/serveProcess.ts"
import type { Duplex, ExecSpec, Output, ProcessStreams } from "../../core/pod/ContainerRuntime.ts"

/** No more than this lies between a process and who reads it. */
const mostPieces = 4

export const echoProcess: Effect.Effect<ProcessStreams, never, Scope.Scope> = Effect.gen(function*() {
  const said = yield* Queue.bounded<Output, Cause.Done>(mostPieces)
  yield* Effect.addFinalizer(() => Queue.shutdown(said))
  let pieces = 0
  return {
    stdin: (bytes) => Effect.asVoid(Queue.offer(said, { stream: pieces++ % 2 === 0 ? "stdout" : "stderr", bytes })),
    endStdin: Effect.asVoid(Queue.end(said)),
    resize: () => Effect.void,
    output: Stream.fromQueue(said),
    exitCode: Effect.succeed(0)
  }
})

export const echoPort: Effect.Effect<Duplex, never, Scope.Scope> = Effect.gen(function*() {
  const said = yield* Queue.bounded<Uint8Array, Cause.Done>(mostPieces)
  yield* Effect.addFinalizer(() => Queue.shutdown(said))
  return {
    write: (bytes) => Effect.asVoid(Queue.offer(said, bytes)),
    end: Effect.asVoid(Queue.end(said)),
    read: Stream.fromQueue(said)
  }
})

export const executing = (options: Omit<ExecSpec, "command">): Upgrading => ({
  _tag: "Process",
  options,
  serve: (client) => serveProcess("exec", echoProcess, options, client)
})

export const forwarding: Upgrading = {
  _tag: "Forward",
  ports: [80, 8080],
  serve: (client) => serveForward("pod web", () => echoPort, client)
}
