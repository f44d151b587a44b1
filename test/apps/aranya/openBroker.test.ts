import { assert, it } from "@effect/vitest"
import { Duration, Effect, Random, Stream } from "effect"
import { createServer, type Server } from "node:net"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { openBroker } from "../../../apps/aranya/openBroker.ts"

it.live("a broker that is away is dialed as often as the EdgeDevice says", () =>
  Effect.gen(function*() {
    let dialed = 0
    const server = yield* Effect.acquireRelease(
      Effect.callback<Server>((resume) => {
        const server = createServer((socket) => {
          dialed += 1
          socket.destroy()
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => server.close())
    )
    const open = yield* openBroker
    const door = open({
      host: "127.0.0.1",
      port: (server.address() as { port: number }).port,
      transport: "tcp",
      websocketPath: "/mqtt",
      version: "3.1.1",
      variant: "standard",
      tls: undefined,
      login: undefined,
      clientId: "operator",
      keepaliveMillis: 120_000,
      maxPayload: 131_072
    }, {
      topicNamespaces: Stream.make(["edge/lamp"]),
      backoff: () => ({ initialDelay: Duration.millis(100), maxDelay: Duration.millis(100), factor: 1 }),
      isLeft: () => false,
      onState: () => Effect.void,
      onRefused: () => Effect.void
    })
    yield* Effect.forkScoped(door.run(() => Effect.void))
    // By the defaults it would be some five times.
    yield* Effect.sleep("3 seconds")
    assert.isAbove(dialed, 20)
  }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer), Random.withSeed(1)))
