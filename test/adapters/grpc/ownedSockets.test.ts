import { assert, describe, it } from "@effect/vitest"
import { ChannelCredentials, credentials } from "@grpc/grpc-js"
import { Deferred, Effect } from "effect"
import { connect, createServer, type Server, type Socket } from "node:net"
import { PassThrough } from "node:stream"
import { makeGrpcDialer } from "../../../adapters/grpc/GrpcDialer.ts"
import { ownedSockets } from "../../../adapters/grpc/ownedSockets.ts"

const listen = (onConnection: (socket: Socket) => void, port = 0) =>
  Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      const server = createServer(onConnection)
      server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  )
const portOf = (server: Server) => (server.address() as { readonly port: number }).port

const dialled = (port: number) =>
  Effect.callback<Socket>((resume) => {
    const socket = connect(port, "127.0.0.1", () => resume(Effect.succeed(socket)))
  })

/** TLS that is busy with a write and notices nothing any more. */
const hung = () => {
  const secure = new PassThrough() as unknown as Socket
  return {
    secure,
    credentials: Object.assign(Object.create(ChannelCredentials.prototype) as ChannelCredentials, {
      _isSecure: () => true,
      _createSecureConnector: () => ({
        connect: () => Promise.resolve({ socket: secure, secure: true }),
        waitForReady: () => Promise.resolve(),
        getCallCredentials: () => {
          throw new Error("nobody asks")
        },
        destroy: () => {}
      })
    })
  }
}

describe("sockets of a gRPC client", () => {
  it.live("take TLS with them when they go, whether TLS noticed or not", () =>
    Effect.gen(function*() {
      const accepted = yield* Deferred.make<Socket>()
      const server = yield* listen((socket) => Deferred.doneUnsafe(accepted, Effect.succeed(socket)))
      const { credentials, secure } = hung()
      const gone = yield* Deferred.make<void>()
      secure.once("close", () => Deferred.doneUnsafe(gone, Effect.void))
      const owned = ownedSockets(credentials)
      const socket = yield* dialled(portOf(server))
      const connector = owned.credentials._createSecureConnector({ scheme: "dns", path: "localhost:1" }, {})
      yield* Effect.promise(() => connector.connect(socket))
      assert.isFalse(secure.destroyed)
      const peer = yield* Deferred.await(accepted)
      peer.resetAndDestroy()
      yield* Effect.timeout(Deferred.await(gone), "10 seconds")
    }))

  it.live("are not made any more once the client was closed", () =>
    Effect.gen(function*() {
      const port = yield* Effect.scoped(Effect.map(listen(() => {}), portOf))
      const error = yield* Effect.flip(Effect.scoped(makeGrpcDialer({ target: `127.0.0.1:${port}`, tls: {} }).connect))
      assert.strictEqual(error.reason, "Refused")
      let seen = 0
      yield* listen(() => seen += 1, port)
      // grpc-js would connect again after about a second, for nobody.
      yield* Effect.sleep("2 seconds")
      assert.strictEqual(seen, 0)

      const owned = ownedSockets(credentials.createSsl())
      owned.close()
      const connector = owned.credentials._createSecureConnector({ scheme: "dns", path: "localhost:1" }, {})
      const refused = yield* Effect.flip(Effect.tryPromise({
        try: () => connector.waitForReady(),
        catch: (cause) => cause as Error
      }))
      assert.strictEqual(refused.message, "the client was closed")
    }))
})
