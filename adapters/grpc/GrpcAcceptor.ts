/** The operator's gRPC door: one listener and certificate for all devices, one connection per call. */
import { Metadata, Server, ServerCredentials, type ServerDuplexStream, type ServerOptions, status } from "@grpc/grpc-js"
import { Duration, Effect, FiberSet, type Scope, Stream } from "effect"
import { type Acceptor, type Connection, TransportError } from "../../core/link/Transport.ts"
import { callConnection } from "./callConnection.ts"
import { defaultMaxFrame } from "./GrpcDialer.ts"
import { linkMethod, messageOverhead } from "./linkMethod.ts"
import { RenewableCredentials, type ServerIdentity } from "./RenewableCredentials.ts"

export interface GrpcAcceptorOptions {
  readonly host: string
  /** 0 takes a free one; `onListening` tells which. */
  readonly port: number
  /** `insecure` is plaintext, for a loopback or behind an ingress that ends TLS; the session's own encryption remains. */
  readonly tls: ServerIdentity | "insecure"
  /** New certificates, as they are renewed; connections that are up stay up. */
  readonly renewals?: Stream.Stream<ServerIdentity>
  readonly maxFrame?: number
  /** Connections beyond this are turned away; they come back later. */
  readonly maxConnections?: number
  /** Connections without a call (health probes, half-open ones) are closed after this. */
  readonly idle?: Duration.Input
  /** Connections are closed after this, spread by a tenth, so that balancers can move them; sessions resume on the next. */
  readonly age?: Duration.Input
  readonly onListening?: (port: number) => Effect.Effect<void>
}

/** As the dialer's: what may arrive before it is read, per connection. */
const receiveWindow = 512 * 1024

const millis = (input: Duration.Input) => Duration.toMillis(Duration.fromInputUnsafe(input))

const serverOptions = (
  { age = "24 hours", idle = "1 minute", maxFrame = defaultMaxFrame }: GrpcAcceptorOptions
): ServerOptions => ({
  "grpc.enable_channelz": 0,
  "grpc.max_receive_message_length": maxFrame + messageOverhead,
  "grpc.max_send_message_length": maxFrame + messageOverhead,
  // A device needs one call; a second overlaps while it reconnects through a proxy that shares connections.
  "grpc.max_concurrent_streams": 1024,
  "grpc.max_connection_idle_ms": millis(idle),
  "grpc.max_connection_age_ms": millis(age),
  "grpc.max_connection_age_grace_ms": 1000,
  "grpc-node.flow_control_window": receiveWindow
})

export const makeGrpcAcceptor = (options: GrpcAcceptorOptions): Acceptor => {
  const { host, maxConnections = 20_000, maxFrame = defaultMaxFrame, port, tls } = options
  const refused = (detail: string) =>
    new TransportError({ reason: "Refused", detail: `cannot listen on ${host}:${port}: ${detail}` })

  const run = Effect.fnUntraced(function*<R>(
    serve: (connection: Connection) => Effect.Effect<void, never, R | Scope.Scope>
  ) {
    const secure = tls === "insecure" ? undefined : yield* Effect.try({
      try: () => new RenewableCredentials(tls),
      catch: (cause) => refused(cause instanceof Error ? cause.message : String(cause))
    })
    const server = yield* Effect.acquireRelease(
      Effect.sync(() => new Server(serverOptions(options))),
      (server) => Effect.sync(() => server.forceShutdown())
    )
    // Closed before the server is: each connection hangs up by itself.
    const fork = yield* FiberSet.makeRuntime<Exclude<R, Scope.Scope>>()
    let live = 0

    const connect = (call: ServerDuplexStream<Uint8Array, Uint8Array>) => {
      if (live >= maxConnections) {
        call.on("error", () => {})
        call.emit("error", {
          code: status.RESOURCE_EXHAUSTED,
          details: `${live} connections are all this operator takes`
        })
        return
      }
      live += 1
      const { connection, hangUp } = callConnection(call, {
        description: `grpc ${call.getPeer()}`,
        maxFrame,
        errorOf: (error) =>
          new TransportError({ reason: "Lost", detail: error instanceof Error ? error.message : "the call failed" })
      })
      call.sendMetadata(new Metadata())
      fork(
        Effect.scoped(serve(connection)).pipe(
          Effect.ensuring(hangUp),
          Effect.ensuring(Effect.sync(() => {
            live -= 1
            call.destroy()
          }))
        ) as Effect.Effect<void, never, Exclude<R, Scope.Scope>>
      )
    }
    server.addService({ connect: linkMethod }, { connect })

    const bound = yield* Effect.callback<number, TransportError>((resume) => {
      server.bindAsync(
        host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`,
        secure ?? ServerCredentials.createInsecure(),
        (error, bound) => resume(error === null ? Effect.succeed(bound) : Effect.fail(refused(error.message)))
      )
    })
    if (options.renewals !== undefined && secure !== undefined) {
      yield* Effect.forkScoped(Stream.runForEach(options.renewals, (identity) => secure.renew(identity)))
    }
    if (options.onListening !== undefined) yield* options.onListening(bound)
    return yield* Effect.never
  }, Effect.scoped)

  return { method: "grpc", run }
}
