/** A gRPC acceptor on a free port, running as long as the test's scope. */
import { Deferred, Effect, type Scope } from "effect"
import { type GrpcAcceptorOptions, makeGrpcAcceptor } from "../../../adapters/grpc/GrpcAcceptor.ts"
import type { Connection } from "../../../core/link/Transport.ts"

export const listening = <R = never>(
  options: Partial<GrpcAcceptorOptions>,
  serve: (connection: Connection) => Effect.Effect<void, never, R | Scope.Scope>
) =>
  Effect.gen(function*() {
    const port = yield* Deferred.make<number>()
    const acceptor = makeGrpcAcceptor({
      host: "127.0.0.1",
      port: 0,
      tls: "insecure",
      ...options,
      onListening: (bound) => Effect.asVoid(Deferred.succeed(port, bound))
    })
    const fiber = yield* Effect.forkScoped(acceptor.run(serve))
    return { port: yield* Deferred.await(port), fiber }
  })
