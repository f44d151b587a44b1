/** What both programs' configuration says of gRPC, from the files to the connection between them. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
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
import { type Issued, makeAuthority } from "../adapters/grpc/certificates.ts"
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
  const complaint = yield* Deferred.make<string>()
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
    if (logLevel === "Warn" || logLevel === "Error") Deferred.doneUnsafe(complaint, Effect.succeed(String(message)))
    const [, port] = /^devices connect by gRPC to 127\.0\.0\.1:(\d+)$/u.exec(String(message)) ?? []
    if (port !== undefined) Deferred.doneUnsafe(taken, Effect.succeed(Number(port)))
  })
  const doors = yield* Layer.build(Layer.provide(acceptors(config, "aranya"), outside))
  const [door] = Context.get(doors, Acceptors)
  if (door === undefined) return assert.fail("there is no door")
  yield* door.run((connection) =>
    Effect.andThen(Deferred.succeed(met, connection), Effect.ignore(Effect.forever(connection.receive)))
  ).pipe(
    Effect.provide(Logger.layer([logger])),
    Effect.forkScoped
  )
  return { port: yield* Deferred.await(taken), connection: Deferred.await(met), complaint: Deferred.await(complaint) }
})

const way = Effect.fnUntraced(function*(port: number, grpc: object) {
  const method = { name: "grpc", config: { endpoint: `127.0.0.1:${port}`, tls: { enabled: false }, ...grpc } }
  const yaml = stringify({
    arhat: { device: "edge-1" },
    connectivity: { operatorKey: `${"A".repeat(43)}=`, methods: [method] }
  })
  const [dialer] = yield* dialers(yield* decodeConfig(ArhatConfig)("arhat.yaml", yaml, () => undefined))
  return dialer ?? assert.fail("there is no way")
})

const device = Effect.fnUntraced(function*(port: number, grpc: object) {
  const dialer = yield* way(port, grpc)
  const connection = yield* dialer.connect
  assert.strictEqual(dialer.maxFrame, connection.maxFrame, "known before there is a connection: other methods heed it")
  return connection
})

/** A directory for the test, and how files are put there. */
const folder = Effect.gen(function*() {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "aranya-renewal-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
  )
  return (name: string, content: Uint8Array) => {
    writeFileSync(join(directory, name), content)
    return join(directory, name)
  }
})

/** They pass while files are read, which takes real time. */
const minutes = Effect.forever(TestClock.adjust("1 minute"))

const inside = (content: Uint8Array) => Buffer.from(content).toString("base64")

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

  it.effect("goes on with certificates that were renewed in the operator's files, and keeps a pair that fits until then", () =>
    Effect.gen(function*() {
      const put = yield* folder
      const [before, after] = [makeAuthority("before"), makeAuthority("after")]
      const [first, second] = [before.issue("aranya"), after.issue("aranya")]
      const { complaint, port } = yield* operator({
        insecure: false,
        cert: put("cert", first.cert),
        key: put("key", first.key),
        clientCa: put("clientCa", before.cert)
      })
      const dial = (ca: Issued, client: Issued) =>
        Effect.flatMap(
          way(port, {
            tls: { caCertData: inside(ca.cert), certData: inside(client.cert), keyData: inside(client.key) }
          }),
          ({ connect }) => Effect.scoped(connect)
        )
      const [old, renewed] = [before.issue("edge-1"), after.issue("edge-1")]
      yield* dial(before, old)
      put("cert", second.cert)
      assert.match(yield* Effect.raceFirst(complaint, minutes), /gRPC listener.*key values mismatch/u)
      yield* dial(before, old)
      put("key", second.key)
      put("clientCa", after.cert)
      yield* Effect.eventually(Effect.andThen(TestClock.adjust("1 minute"), dial(after, renewed)))
      yield* Effect.flip(dial(before, old))
    }).pipe(Effect.scoped))

  it.effect("has a device read its own files anew for each connection", () =>
    Effect.gen(function*() {
      const put = yield* folder
      const [before, after] = [makeAuthority("before"), makeAuthority("after")]
      const { cert, key } = after.issue("aranya")
      const { port } = yield* operator({ insecure: false, cert: put("cert", cert), key: put("key", key) })
      const { connect } = yield* way(port, { tls: { enabled: true, caCert: put("ca", before.cert) } })
      assert.strictEqual((yield* Effect.flip(connect)).reason, "Rejected")
      put("ca", after.cert)
      yield* Effect.scoped(connect)
    }).pipe(Effect.scoped))
})
