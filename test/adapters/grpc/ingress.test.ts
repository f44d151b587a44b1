/** The way of examples/ingress-nginx.yaml and its kin: host names of devices at one TLS port, routed by authority to the operator's one listener. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { makeGrpcDialer } from "../../../adapters/grpc/GrpcDialer.ts"
import type { Connection } from "../../../core/link/Transport.ts"
import { authorityProxy } from "./authorityProxy.ts"
import { makeAuthority } from "./certificates.ts"
import { listening } from "./listening.ts"

const authority = makeAuthority("the public's")
const operators = makeAuthority("the operator's")

/** Answers each frame with the same one. */
const echo = (connection: Connection) =>
  Effect.ignore(Effect.forever(Effect.flatMap(connection.receive, connection.send)))

const dialerTo = (port: number, serverName: string) =>
  makeGrpcDialer({ target: `127.0.0.1:${port}`, tls: { ca: authority.cert, serverName } })

const frames = Array.from({ length: 200 }, (_, index) => new Uint8Array(1 + index * 300).fill(index))

describe("a gRPC listener behind an Ingress that routes by authority", () => {
  for (const backend of ["plain", "TLS"] as const) {
    it.live(`carries frames both ways, for as long as they like (${backend} behind it)`, () =>
      Effect.gen(function*() {
        const door = yield* listening(backend === "plain" ? {} : { tls: operators.issue("localhost") }, echo)
        const url = backend === "plain" ? `http://127.0.0.1:${door.port}` : `https://localhost:${door.port}`
        const to = { url, ...(backend === "plain" ? {} : { ca: operators.cert }) }
        const proxy = yield* authorityProxy(authority.issue("edge-1.example.com"), { "edge-1.example.com": to })
        const connection = yield* dialerTo(proxy.port, "edge-1.example.com").connect
        for (const frame of frames) {
          yield* connection.send(frame)
          assert.deepStrictEqual(yield* connection.receive, frame)
        }
        assert.deepStrictEqual(proxy.seen, ["edge-1.example.com"])
      }).pipe(Effect.scoped))
  }

  it.live("hears of the end when either side hangs up", () =>
    Effect.gen(function*() {
      const gone = yield* Deferred.make<string>()
      const door = yield* listening({}, (connection) =>
        Effect.catch(
          Effect.forever(connection.receive),
          ({ reason }) => Effect.asVoid(Deferred.succeed(gone, reason))
        ))
      const proxy = yield* authorityProxy(authority.issue("edge-1.example.com"), {
        "edge-1.example.com": { url: `http://127.0.0.1:${door.port}` }
      })
      yield* Effect.scoped(Effect.gen(function*() {
        const connection = yield* dialerTo(proxy.port, "edge-1.example.com").connect
        yield* connection.send(Uint8Array.of(1))
      }))
      assert.strictEqual(yield* Deferred.await(gone), "Lost")
    }).pipe(Effect.scoped))

  it.live("refuses a device whose host name has no Ingress, and says so", () =>
    Effect.gen(function*() {
      const proxy = yield* authorityProxy(authority.issue("edge-2.example.com"), {})
      const error = yield* Effect.flip(dialerTo(proxy.port, "edge-2.example.com").connect)
      assert.strictEqual(error.reason, "Refused")
      assert.match(error.message, /404|not an aranya operator/u)
    }).pipe(Effect.scoped))
})
