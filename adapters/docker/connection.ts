/** One connection of bytes both ways, a taken-over HTTP connection or a TCP one; writing can end while reading goes on. */
import { Effect, Exit, Scope, Stream } from "effect"
import { Socket } from "effect/socket"
import type { Duplex, RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import { unavailable } from "./DockerClient.ts"

/** What the system said, where it said something. */
const wordsOf = ({ message, reason }: Socket.SocketError): string =>
  "cause" in reason && reason.cause instanceof Error && reason.cause.message !== "" ? reason.cause.message : message

const broken = (error: Socket.SocketError): RuntimeError => unavailable(`the connection broke: ${wordsOf(error)}`)

/** Opens the socket, which lives as long as the scope; `end` half-closes it. `failure` says what it means when it does not open. */
export const openConnection = Effect.fnUntraced(function*(socket: Socket.Socket, failure = "the connection broke") {
  const pull = yield* Effect.mapError(
    Socket.readerBytes(socket),
    (error) => unavailable(`${failure}: ${wordsOf(error)}`)
  )
  const writing = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
  const writer = yield* Scope.provide(socket.writer, writing)
  let ended = false
  const duplex: Duplex = {
    write: (bytes) => Effect.suspend(() => (ended ? Effect.void : Effect.mapError(writer.write(bytes), broken))),
    end: Effect.suspend(() => {
      ended = true
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
