/** A broker within the test's own process, for MQTT 3.1.1 over sockets and websockets, plain and encrypted; gone with the scope. */
import { Aedes, type AedesOptions } from "aedes"
import { Effect, type Scope } from "effect"
import { createServer, type Server } from "node:http"
import { createServer as createSecureServer } from "node:https"
import { createServer as createTcpServer, type Server as NetServer, type Socket } from "node:net"
import type { Duplex } from "node:stream"
import { createServer as createTlsServer } from "node:tls"
import { createWebSocketStream, WebSocketServer } from "ws"
import type { Issued } from "../grpc/certificates.ts"

export interface AedesBroker {
  readonly broker: Aedes
  readonly port: number
}

/** Listens, and hands each connection to the broker. */
export type Serve = (handle: (stream: Duplex) => void) => Server | NetServer

const listening = (server: Server | NetServer) =>
  Effect.gen(function*() {
    const sockets = new Set<Socket>()
    server.on("connection", (socket: Socket) => {
      sockets.add(socket)
      socket.once("close", () => sockets.delete(socket))
    })
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        server.close()
        for (const socket of sockets) socket.destroy()
      })
    )
    return yield* Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(address === null || typeof address === "string" ? 0 : address.port))
      })
    })
  })

export const aedesBroker = Effect.fnUntraced(function*(
  options: AedesOptions = {},
  serve: Serve = (handle) => createTcpServer(handle)
): Effect.fn.Return<AedesBroker, never, Scope.Scope> {
  const broker = yield* Effect.acquireRelease(
    Effect.promise(() => Aedes.createBroker(options)),
    (broker) => Effect.callback<void>((resume) => broker.close(() => resume(Effect.void)))
  )
  const port = yield* listening(serve((stream) => void broker.handle(stream)))
  return { broker, port }
})

const pem = ({ cert, key }: Issued) => ({ cert: Buffer.from(cert), key: Buffer.from(key) })

export const overTls = (identity: Issued): Serve => (handle) =>
  createTlsServer(pem(identity), (socket) => handle(socket.on("error", () => {})))

/** Encrypted where there is an identity to show. */
export const overWebsockets = (
  { identity, path = "/mqtt" }: { readonly identity?: Issued; readonly path?: string } = {}
): Serve =>
(handle) => {
  const server = identity === undefined ? createServer() : createSecureServer(pem(identity))
  new WebSocketServer({ server, path }).on("connection", (socket) => handle(createWebSocketStream(socket)))
  return server
}
