/** What both programs' configuration says of gRPC, from the files to the connection between them. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Logger } from "effect"
import { stringify } from "yaml"
import { NodeCryptography } from "../../adapters/crypto/NodeCryptography.ts"
import { AranyaConfig } from "../../apps/aranya/AranyaConfig.ts"
import { acceptors } from "../../apps/aranya/runOperator.ts"
import { ArhatConfig } from "../../apps/arhat/ArhatConfig.ts"
import { dialers } from "../../apps/arhat/dialers.ts"
import { decodeConfig } from "../../core/config/decodeConfig.ts"
import { KubeApi } from "../../core/kube/KubeApi.ts"
import { Acceptors, type Connection } from "../../core/link/Transport.ts"
import { Brokers } from "../../core/operator/Brokers.ts"
import { NamedIdentities } from "../../core/operator/NamedIdentities.ts"
import { pingRelay } from "../adapters/grpc/pingRelay.ts"

const outside = Layer.mergeAll(
  NamedIdentities.layer,
  Brokers.layer,
  NodeCryptography.layer,
  // In plain text there is no certificate to keep in a Secret.
  Layer.mock(KubeApi, {})
)

/** The operator's door, its port taken from what it says to its owner; it keeps silent to whoever comes. */
const operator = Effect.fnUntraced(function*(grpc: object) {
  const yaml = stringify({ connectivity: { grpc: { listen: "127.0.0.1:0", insecure: true, ...grpc } } })
  const config = yield* decodeConfig(AranyaConfig)("aranya.yaml", yaml, () => undefined)
  const taken = yield* Deferred.make<number>()
  const met = yield* Deferred.make<Connection>()
  const logger = Logger.make<unknown, void>(({ message }) => {
    const [, port] = /^devices connect by gRPC to 127\.0\.0\.1:(\d+)$/u.exec(String(message)) ?? []
    if (port !== undefined) Deferred.doneUnsafe(taken, Effect.succeed(Number(port)))
  })
  const doors = yield* Layer.build(Layer.provide(acceptors(config, "aranya"), outside))
  const [door] = Context.get(doors, Acceptors)
  if (door === undefined) return assert.fail("there is no door")
  yield* door.run((connection) => Effect.andThen(Deferred.succeed(met, connection), Effect.never)).pipe(
    Effect.provide(Logger.layer([logger])),
    Effect.forkScoped
  )
  return { port: yield* Deferred.await(taken), connection: Deferred.await(met) }
})

const device = Effect.fnUntraced(function*(port: number, grpc: object) {
  const method = { name: "grpc", config: { endpoint: `127.0.0.1:${port}`, tls: { enabled: false }, ...grpc } }
  const yaml = stringify({
    arhat: { device: "edge-1" },
    connectivity: { operatorKey: `${"A".repeat(43)}=`, methods: [method] }
  })
  const [dialer] = yield* dialers(yield* decodeConfig(ArhatConfig)("arhat.yaml", yaml, () => undefined))
  if (dialer === undefined) return assert.fail("there is no way")
  const connection = yield* dialer.connect
  assert.strictEqual(dialer.maxFrame, connection.maxFrame, "known before there is a connection: other methods heed it")
  return connection
})

describe("gRPC between both programs", () => {
  it.live("is pinged by each end that its file tells to, as often as it says, and by no other", () =>
    Effect.gen(function*() {
      const between = Effect.fnUntraced(function*(ends: { readonly operator?: object; readonly device?: object }) {
        const relay = yield* pingRelay((yield* operator(ends.operator ?? {})).port)
        yield* device(relay.port, ends.device ?? {})
        return relay
      })
      // The shortest there may be: beside each other, so that they are waited for once.
      const often = { keepaliveInterval: "10s" }
      const neither = yield* between({ device: { keepaliveInterval: "1h" }, operator: { keepaliveInterval: "1h" } })
      const byDevice = yield* between({ device: often })
      const byOperator = yield* between({ operator: often })
      yield* Effect.all(
        [byDevice.until(({ device }) => device > 0), byOperator.until(({ operator }) => operator > 0)],
        {
          concurrency: "unbounded"
        }
      )
      assert.deepStrictEqual(byDevice.pings, { device: 1, operator: 0 })
      assert.deepStrictEqual(byOperator.pings, { device: 0, operator: 1 })
      assert.deepStrictEqual(neither.pings, { device: 0, operator: 0 })
    }).pipe(Effect.scoped))

  it.live("has frames of the size that each end's file says", () =>
    Effect.gen(function*() {
      const { connection, port } = yield* operator({ maxPayloadSize: 4096 })
      assert.strictEqual((yield* device(port, { maxPayloadSize: 8192 })).maxFrame, 8192)
      assert.strictEqual((yield* connection).maxFrame, 4096)
    }).pipe(Effect.scoped))
})
