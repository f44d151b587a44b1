/** An operator's link server behind a real gRPC listener, with a good device connected to it, for others to knock at. */
import { Deferred, Effect, Exit, Layer, Option, Stream, SubscriptionRef } from "effect"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { type GrpcAcceptorOptions, makeGrpcAcceptor } from "../../../adapters/grpc/GrpcAcceptor.ts"
import { makeGrpcDialer } from "../../../adapters/grpc/GrpcDialer.ts"
import { Cryptography } from "../../../core/link/Cryptography.ts"
import { Admission, LinkMemory } from "../../../core/link/Hello.ts"
import { LinkClient } from "../../../core/link/LinkClient.ts"
import { defaultLimits, LinkLimits } from "../../../core/link/LinkLimits.ts"
import { LinkServer } from "../../../core/link/LinkServer.ts"
import { defaultTimings, LinkTimings } from "../../../core/link/LinkTimings.ts"
import type { Handlers, Session } from "../../../core/link/Session.ts"
import { type Acceptor, Acceptors, Dialers, TransportError } from "../../../core/link/Transport.ts"

export const operatorKey = new Uint8Array(32).fill(21)
const deviceKey = new Uint8Array(32).fill(22)

const echo: Handlers = {
  onRequest: (message) => Effect.succeed(message),
  onOpen: (_, channel) => Stream.runForEach(channel.messages, channel.send)
}

/** How each connection ended for its reader: what a device that hung up and what an attacker leave behind. */
export interface Ends {
  readonly typed: Array<TransportError>
  readonly untyped: Array<unknown>
}

const watched = (acceptor: Acceptor, ends: Ends): Acceptor => ({
  method: acceptor.method,
  run: (serve) =>
    acceptor.run((connection) =>
      serve({
        ...connection,
        receive: Effect.onExit(connection.receive, (exit) =>
          Effect.sync(() => {
            if (Exit.isSuccess(exit)) return
            for (const reason of exit.cause.reasons) {
              if (reason._tag === "Interrupt") continue
              if (reason._tag === "Fail" && reason.error instanceof TransportError) ends.typed.push(reason.error)
              else ends.untyped.push(reason)
            }
          }))
      })
    )
})

export const openDoor = Effect.fnUntraced(function*(
  options: { readonly handshakeMillis: number } & Partial<GrpcAcceptorOptions>
) {
  const cryptography = yield* Cryptography
  const listening = yield* Deferred.make<number>()
  const ends: Ends = { typed: [], untyped: [] }
  const admitted: Array<string> = []
  const acceptor = makeGrpcAcceptor({
    host: "127.0.0.1",
    port: 0,
    tls: "insecure",
    ...options,
    onListening: (port) => Effect.asVoid(Deferred.succeed(listening, port))
  })
  const timings = { ...defaultTimings, handshakeTimeoutMillis: options.handshakeMillis }
  const server = yield* LinkServer.make({
    privateKey: operatorKey,
    operatorVersion: "test",
    onSession: () => Effect.succeed(echo)
  }).pipe(Effect.provide(Layer.mergeAll(
    Layer.succeed(LinkTimings, timings),
    Layer.succeed(LinkLimits, defaultLimits),
    Layer.succeed(Acceptors, [watched(acceptor, ends)]),
    Layer.succeed(Admission, {
      challenge: () => Effect.succeed({ psk: new Uint8Array(32) }),
      admit: (hello) =>
        Effect.sync(() => {
          admitted.push(hello.device)
          return { epoch: 1, lineage: Uint8Array.of(1) }
        })
    })
  )))
  const serving = yield* Effect.forkScoped(server.run)
  const port = yield* Deferred.await(listening)

  /** A device that does nothing wrong; through `by`, a port that leads to the listener. */
  const connect = Effect.fnUntraced(function*(device: string, by = port) {
    const client = yield* LinkClient.make({
      namespace: "edge",
      device,
      privateKey: deviceKey,
      operatorPublic: cryptography.x25519Public(operatorKey),
      agentVersion: "test",
      capabilities: [],
      onSession: () => Effect.succeed(echo)
    }).pipe(Effect.provide(Layer.mergeAll(
      Layer.succeed(LinkTimings, { ...defaultTimings, backoffFirstMillis: 50, backoffMostMillis: 200 }),
      Layer.succeed(Dialers, [makeGrpcDialer({ target: `127.0.0.1:${by}`, tls: "insecure" })]),
      Layer.succeed(LinkMemory, {
        load: Effect.succeed({ journalId: device, bootId: "boot", epoch: 0, lineage: new Uint8Array(0) }),
        save: () => Effect.void,
        digest: Effect.succeed(new Uint8Array(0))
      })
    )))
    yield* Effect.forkScoped(client.run)
    return yield* SubscriptionRef.changes(client.current).pipe(
      Stream.filter(Option.isSome),
      Stream.map(({ value }): Session => value),
      Stream.runHead,
      Effect.map(Option.getOrThrow),
      Effect.timeout("60 seconds")
    )
  })

  return { port, server, serving, connect, ends, admitted }
})

export const primitives = NodeCryptography.layer
