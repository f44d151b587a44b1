import { Effect } from "effect"
import { createServer, type Server, type Socket } from "node:net"

/** A listener at a free port, and the sockets that it has at this moment. */
export const serverOn = (answer: (socket: Socket) => void) =>
  Effect.gen(function*() {
    const sockets = new Set<Socket>()
    const server = yield* Effect.acquireRelease(
      Effect.callback<Server>((resume) => {
        const server = createServer((socket) => {
          sockets.add(socket)
          socket.on("error", () => {}).on("close", () => sockets.delete(socket))
          answer(socket)
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => server.close())
    )
    return { port: (server.address() as { port: number }).port, sockets }
  })
