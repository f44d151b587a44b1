/** One connection of bytes both ways, a taken-over HTTP connection or a TCP one; writing can end while reading goes on. */
import { Effect, Exit, Scope, Stream } from "effect"
import { Socket } from "effect/socket"
import type { Duplex, RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import { unavailable } from "./DockerClient.ts"

const broken = (error: Socket.SocketError): RuntimeError => unavailable(`the connection broke: ${error.message}`)

/** Opens the socket, which lives as long as the scope; `end` half-closes it. */
export const openConnection = Effect.fnUntraced(function*(socket: Socket.Socket) {
  const pull = yield* Effect.mapError(Socket.readerBytes(socket), broken)
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
