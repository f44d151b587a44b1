import { Deferred, Effect } from "effect"
import { makeGrpcAcceptor } from "../../../adapters/grpc/GrpcAcceptor.ts"
import { type DialerTls, makeGrpcDialer } from "../../../adapters/grpc/GrpcDialer.ts"
import type { ServerIdentity } from "../../../adapters/grpc/TlsDoor.ts"
import type { Dialer } from "../../../core/link/Transport.ts"
import { transportContract } from "../../contracts/transport.ts"
import { makeAuthority } from "./certificates.ts"

interface Doors {
  readonly acceptor: ServerIdentity | "insecure"
  readonly dialer: DialerTls | "insecure"
}

/** On a free port, which a dialer learns once the acceptor runs. */
const over = (name: string, tls: Doors) => {
  const dialing = (port: number) => makeGrpcDialer({ target: `127.0.0.1:${port}`, tls: tls.dialer })
  transportContract({
    name,
    make: Effect.gen(function*() {
      const bound = yield* Deferred.make<number>()
      const acceptor = makeGrpcAcceptor({
        host: "127.0.0.1",
        port: 0,
        tls: tls.acceptor,
        onListening: (port) => Effect.asVoid(Deferred.succeed(bound, port))
      })
      const dialer: Dialer = {
        method: "grpc",
        connect: Effect.flatMap(Deferred.await(bound), (port) => dialing(port).connect)
      }
      return { acceptor, dialer, nowhere: dialing(1) }
    })
  })
}

const authority = makeAuthority("the cluster")
const identity = authority.issue("aranya.example")
const trusting = { ca: authority.cert, serverName: "aranya.example" }

over("gRPC, plain,", { acceptor: "insecure", dialer: "insecure" })
over("gRPC over TLS", { acceptor: identity, dialer: trusting })
over("gRPC over mutual TLS", {
  acceptor: { ...identity, clientCa: authority.cert },
  dialer: { ...trusting, identity: authority.issue("edge-1") }
})
