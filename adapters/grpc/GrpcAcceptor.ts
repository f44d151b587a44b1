/** The operator's gRPC door: one listener for all devices, one connection per call. */
import { Metadata, Server, ServerCredentials, type ServerDuplexStream, type ServerOptions, status } from "@grpc/grpc-js"
import { Duration, Effect, FiberSet, Random, type Scope, Stream } from "effect"
import type { Http2Session } from "node:http2"
import { createServer, type Server as NetServer, type Socket } from "node:net"
import { type Acceptor, type Connection, TransportError } from "../../core/link/Transport.ts"
import { callConnection } from "./callConnection.ts"
import { closeStream, streamOf } from "./closeStream.ts"
import { defaultMaxFrame } from "./GrpcDialer.ts"
import { linkMethod, messageOverhead } from "./linkMethod.ts"
import { makeTlsDoor, type NamedIdentity, type ServerIdentity } from "./TlsDoor.ts"
import { UnprovenCalls } from "./UnprovenCalls.ts"

export interface GrpcAcceptorOptions {
  readonly host: string
  /** 0 takes a free one; `onListening` tells which. */
  readonly port: number
  /** `insecure` is plaintext, for a loopback or behind an ingress that ends TLS; the session's own encryption remains. */
  readonly tls: ServerIdentity | "insecure"
  /** New certificates, as they are renewed; connections that are up stay up. */
  readonly renewals?: Stream.Stream<ServerIdentity>
  /** Identities for devices that ask for a server name of their own; each element is all of them. */
  readonly named?: Stream.Stream<ReadonlyArray<NamedIdentity>>
  readonly maxFrame?: number
  /** HTTP/2 pings on silent connections, as the dialer's. Absent: none, they cost bytes. */
  readonly keepalive?: Duration.Input
  /** Of devices that have proven their key; connections beyond this are turned away, and come back later. */
  readonly maxConnections?: number
  /** Connections without a call (health probes, half-open ones) are closed after this. */
  readonly idle?: Duration.Input
  /** Connections are closed after this, spread by a tenth, so that balancers can move them; sessions resume on the next. */
  readonly age?: Duration.Input
  readonly onListening?: (port: number) => Effect.Effect<void>
}

/**
 * What may arrive before it is read, per call, once a device has proven its key: enough for 20 Mbit/s over 100 ms. Strangers have
 * the 64 KiB of HTTP/2.
 */
const receiveWindow = 256 * 1024

/** An empty message: 14 bytes that travel with the headers. */
const greeting = new Uint8Array(0)

const millis = (input: Duration.Input) => Duration.toMillis(Duration.fromInputUnsafe(input))

const serverOptions = (
  { age = "24 hours", idle = "1 minute", keepalive, maxFrame = defaultMaxFrame }: GrpcAcceptorOptions
): ServerOptions => ({
  "grpc.enable_channelz": 0,
  "grpc.max_receive_message_length": maxFrame + messageOverhead,
  "grpc.max_send_message_length": maxFrame + messageOverhead,
  // A device needs one call; a second overlaps while it reconnects through a proxy that shares connections.
  "grpc.max_concurrent_streams": 1024,
  "grpc.max_connection_idle_ms": millis(idle),
  "grpc.max_connection_age_ms": millis(age),
  "grpc.max_connection_age_grace_ms": 1000,
  ...keepalive === undefined ? {} : {
    "grpc.keepalive_time_ms": millis(keepalive),
    "grpc.keepalive_timeout_ms": 20_000
  }
})

/** The sockets of a door go with the scope; those that are not HTTP/2 yet belong to nobody else. */
const ownSockets = (door: NetServer) =>
  Effect.suspend(() => {
    const sockets = new Set<Socket>()
    door.on("connection", (socket: Socket) => {
      sockets.add(socket)
      socket.once("close", () => sockets.delete(socket))
    })
    return Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
      })
    )
  })

const listen = Effect.fnUntraced(function*(door: NetServer, host: string, port: number) {
  yield* Effect.addFinalizer(() => Effect.sync(() => door.close()))
  return yield* Effect.callback<number, Error>((resume) => {
    door.once("error", (error) => resume(Effect.fail(error)))
    door.listen(port, host, () => {
      const address = door.address()
      resume(Effect.succeed(address === null || typeof address === "string" ? port : address.port))
    })
  })
})

/** grpc-js 1.14 has an option for it, which its server does not heed. Said once: a session that owes many answers is destroyed. */
const widening = () => {
  const wide = new WeakSet<Http2Session>()
  return (call: ServerDuplexStream<Uint8Array, Uint8Array>) =>
    Effect.sync(() => {
      const session = streamOf(call)?.session
      if (session === undefined || session.destroyed || wide.has(session)) return
      wide.add(session)
      session.settings({ initialWindowSize: receiveWindow })
      session.setLocalWindowSize(receiveWindow)
    })
}

export const makeGrpcAcceptor = (options: GrpcAcceptorOptions): Acceptor => {
  const { host, maxConnections = 20_000, maxFrame = defaultMaxFrame, port, tls } = options
  const refused = (detail: string) =>
    new TransportError({ reason: "Refused", detail: `cannot listen on ${host}:${port}: ${detail}` })

  const run = Effect.fnUntraced(function*<R>(
    serve: (connection: Connection) => Effect.Effect<void, never, R | Scope.Scope>
  ) {
    const server = yield* Effect.acquireRelease(
      Effect.sync(() => new Server(serverOptions(options))),
      (server) => Effect.sync(() => server.forceShutdown())
    )
    // TLS is ours, not grpc-js's: it can neither choose a certificate by name nor whom to ask for one.
    const { injectConnection } = server.createConnectionInjector(ServerCredentials.createInsecure())
    const secured = tls === "insecure" ? undefined : yield* Effect.try({
      try: () => makeTlsDoor(tls, injectConnection),
      catch: (cause) => refused(cause instanceof Error ? cause.message : String(cause))
    })
    const door = secured?.server ?? createServer(injectConnection)
    yield* ownSockets(door)
    // Closed before sockets and server are: each connection says farewell and hangs up by itself.
    const fork = yield* FiberSet.makeRuntime<Exclude<R, Scope.Scope>>()
    const widen = widening()
    const unproven = new UnprovenCalls(yield* Random.Random)
    let live = 0

    const connect = (call: ServerDuplexStream<Uint8Array, Uint8Array>) => {
      const turnAway = (details: string) => call.emit("error", { code: status.RESOURCE_EXHAUSTED, details })
      const full = () => turnAway(`${live} connections are all this operator takes`)
      if (live >= maxConnections) {
        call.on("error", () => {})
        full()
        fork(closeStream(call))
        return
      }
      let proven = false
      const forget = unproven.add(
        streamOf(call)?.session ?? call,
        () => turnAway("too many connections have proven nothing yet")
      )
      const prove = Effect.sync(() => {
        forget()
        if (proven) return
        // As many as like may have come to prove it at once.
        if (live >= maxConnections) full()
        else {
          live += 1
          proven = true
        }
      })
      const { connection, hangUp } = callConnection(call, {
        description: `grpc ${call.getPeer()}`,
        maxFrame,
        errorOf: (error) =>
          new TransportError({ reason: "Lost", detail: error instanceof Error ? error.message : "the call failed" })
      })
      call.sendMetadata(new Metadata())
      // nginx keeps headers until something follows them, and a device says nothing before it has them.
      call.write(greeting)
      fork(
        Effect.scoped(serve({ ...connection, proven: Effect.andThen(prove, widen(call)) })).pipe(
          Effect.ensuring(hangUp),
          Effect.ensuring(closeStream(call)),
          Effect.ensuring(Effect.sync(() => {
            forget()
            if (proven) live -= 1
            call.destroy()
          }))
        ) as Effect.Effect<void, never, Exclude<R, Scope.Scope>>
      )
    }
    server.addService({ connect: linkMethod }, { connect })

    const bound = yield* Effect.mapError(listen(door, host, port), ({ message }) => refused(message))
    if (secured !== undefined) {
      yield* Effect.forkScoped(Stream.runForEach(options.renewals ?? Stream.empty, secured.renew))
      yield* Effect.forkScoped(Stream.runForEach(options.named ?? Stream.empty, secured.name))
    }
    if (options.onListening !== undefined) yield* options.onListening(bound)
    return yield* Effect.never
  }, Effect.scoped)

  return { method: "grpc", run }
}
