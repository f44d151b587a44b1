/** Devices and operators that were given frames of different sizes: what is large passes in the smaller ones. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, type Scope, Stream } from "effect"
import { NodeCryptography } from "../../adapters/crypto/NodeCryptography.ts"
import { makeGrpcAcceptor } from "../../adapters/grpc/GrpcAcceptor.ts"
import { makeGrpcDialer } from "../../adapters/grpc/GrpcDialer.ts"
import { makeMqttAcceptor } from "../../adapters/mqtt/MqttAcceptor.ts"
import { makeMqttDialer } from "../../adapters/mqtt/MqttDialer.ts"
import type { Acceptor, Dialer } from "../../core/link/Transport.ts"
import { deviceOn, operatorOn } from "../contracts/linked.ts"
import { noise } from "../core/link/noise.ts"
import { aedesBroker } from "./mqtt/aedesBroker.ts"

interface Sizes {
  readonly device?: number
  readonly operator?: number
}

interface Ends {
  readonly acceptor: Acceptor
  readonly dialer: Effect.Effect<Dialer>
}

const overGrpc = ({ device, operator }: Sizes): Effect.Effect<Ends> =>
  Effect.sync(() => {
    const port = Deferred.makeUnsafe<number>()
    return {
      acceptor: makeGrpcAcceptor({
        host: "127.0.0.1",
        port: 0,
        tls: "insecure",
        ...(operator === undefined ? {} : { maxFrame: operator }),
        onListening: (bound) => Effect.asVoid(Deferred.succeed(port, bound))
      }),
      dialer: Effect.map(Deferred.await(port), (bound) =>
        makeGrpcDialer({
          target: `127.0.0.1:${bound}`,
          tls: "insecure",
          ...(device === undefined ? {} : { maxFrame: device })
        }))
    }
  })

const overMqtt = ({ device, operator }: Sizes): Effect.Effect<Ends, never, Scope.Scope> =>
  Effect.map(aedesBroker(), ({ port }) => {
    const up = Deferred.makeUnsafe<void>()
    const broker = (clientId: string, maxPayload: number | undefined) => ({
      host: "127.0.0.1",
      port,
      transport: "tcp" as const,
      version: "3.1.1" as const,
      clientId,
      ...(maxPayload === undefined ? {} : { maxPayload })
    })
    return {
      acceptor: makeMqttAcceptor({
        broker: broker("operator", operator),
        topicNamespaces: Stream.make(["edge/lamp"]),
        onState: ({ status }) => status === "Connected" ? Effect.asVoid(Deferred.succeed(up, undefined)) : Effect.void
      }),
      dialer: Effect.as(
        Deferred.await(up),
        makeMqttDialer({ broker: broker("lamp", device), topicNamespace: "edge/lamp" })
      )
    }
  })

describe("frames of different sizes at both ends of a link", () => {
  /** That no compression makes small. */
  const large = noise(100_000, 1)

  for (
    const [name, ends, small] of [["gRPC", overGrpc, 4096], ["MQTT", overMqtt, 8192]] as const
  ) {
    for (const side of ["device", "operator"] as const) {
      it.live(`carry what is large both ways over ${name} where the ${side}'s are small`, () =>
        Effect.gen(function*() {
          const { acceptor, dialer } = yield* ends({ [side]: small })
          const { served } = yield* operatorOn(acceptor)
          const device = yield* (yield* deviceOn("lamp", yield* dialer)).session
          assert.strictEqual(Buffer.compare(yield* device.request(large), large), 0)
          const [operator] = served.sessions
          assert.strictEqual(Buffer.compare(yield* operator!.request(large), large), 0)
          assert.lengthOf(served.sessions, 1)
        }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer), Effect.timeout("20 seconds")))
    }
  }
})
