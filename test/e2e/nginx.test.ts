/** Devices that reach their operator through a real nginx, as behind ingress-nginx: one listener, routed by host name. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Schedule, Stream, SubscriptionRef } from "effect"
import { NodeCryptography } from "../../adapters/crypto/NodeCryptography.ts"
import { makeGrpcAcceptor } from "../../adapters/grpc/GrpcAcceptor.ts"
import { makeGrpcDialer } from "../../adapters/grpc/GrpcDialer.ts"
import type { Session } from "../../core/link/Session.ts"
import { makeAuthority } from "../adapters/grpc/certificates.ts"
import { deviceOn, hasty, operatorOn } from "../contracts/linked.ts"
import { hasNginx, nginx } from "./nginx.ts"

const hosts = ["edge-1.example.com", "edge-2.example.com"] as const
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const bytes = (words: string) => new TextEncoder().encode(words)

const operatorAt = Effect.fnUntraced(function*(
  options: Pick<Parameters<typeof makeGrpcAcceptor>[0], "tls" | "named">
) {
  const listening = yield* Deferred.make<number>()
  const { served } = yield* operatorOn(
    makeGrpcAcceptor({
      host: "127.0.0.1",
      port: 0,
      ...options,
      onListening: (port) => Effect.asVoid(Deferred.succeed(listening, port))
    }),
    hasty
  )
  return { port: yield* Deferred.await(listening), served }
})

const line = Effect.gen(function*() {
  const authority = makeAuthority("the public's")
  const issued = Object.fromEntries(hosts.map((host) => [host, authority.issue(host)]))
  const behind = yield* operatorAt({ tls: "insecure" })
  const withTls = yield* operatorAt({
    tls: makeAuthority("the operator's").issue("localhost"),
    named: Stream.make(
      Object.values(issued).map((identity) => ({
        ...identity,
        serverNames: [],
        refused: (why: string) => Effect.die(new Error(why))
      }))
    )
  })
  const proxy = yield* nginx(Object.fromEntries(
    Object.entries(issued).map(([host, identity]) => [
      host,
      { ...identity, plainPort: behind.port, tlsPort: withTls.port }
    ])
  ))
  /** Dials the port, asks for the host name. */
  const dialer = (port: number, host: string) =>
    makeGrpcDialer({ target: `127.0.0.1:${port}`, tls: { ca: authority.cert, serverName: host } })
  return { behind, withTls, proxy, dialer }
})

const echoes = (session: Session, word: string) =>
  Effect.map(
    session.request(bytes(word), { timeoutMillis: 60_000 }),
    (answer) => assert.strictEqual(text(answer), word)
  )

/** As the peer sees it, too: a request goes through once it is true. */
const goesOn = (session: Session, word: string) =>
  SubscriptionRef.get(session.connected).pipe(
    Effect.flatMap((up) => up ? Effect.void : Effect.fail(new Error("not connected"))),
    Effect.retry(Schedule.spaced("100 millis").pipe(Schedule.upTo({ times: 600 }))),
    Effect.andThen(echoes(session, word))
  )

describe.skipIf(!hasNginx)("devices behind nginx", () => {
  it.live(
    "are told apart by the host names they ask for, and keep their sessions over reload and restart",
    () =>
      Effect.gen(function*() {
        const { behind, dialer, proxy } = yield* line
        const sessions = yield* Effect.forEach(
          hosts,
          (host, n) =>
            Effect.flatMap(deviceOn(`edge-${n + 1}`, dialer(proxy.httpsPort, host)), ({ session }) => session)
        )
        for (const session of sessions) yield* echoes(session, "hello")
        assert.deepStrictEqual(behind.served.admitted.toSorted(), ["edge-1", "edge-2"])

        // The former workers cut what they carry two seconds later; what is asked meanwhile is answered all the same.
        yield* proxy.reload
        for (let n = 0; n < 40; n++) {
          yield* Effect.forEach(sessions, (session) => echoes(session, `during the reload ${n}`), { concurrency: 2 })
          yield* Effect.sleep("100 millis")
        }
        assert.sameMembers([...new Set(proxy.authorities())], [...hosts])

        yield* proxy.stop
        yield* proxy.start
        for (const session of sessions) yield* goesOn(session, "after the restart")
        assert.lengthOf(behind.served.admitted, 2, "no session had to begin anew")
        const asked = behind.served.asked.filter((word) => word.startsWith("during"))
        assert.lengthOf(asked, 80, "each request was carried out once")
      }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer)),
    300_000
  )

  it.live("of a host name without an Ingress are refused, and told what answered", () =>
    Effect.gen(function*() {
      const { dialer, proxy } = yield* line
      const strange = makeGrpcDialer({
        target: `127.0.0.1:${proxy.httpsPort}`,
        tls: "insecure"
      })
      const plain = yield* Effect.flip(Effect.scoped(strange.connect))
      assert.strictEqual(plain.reason, "Refused")
      const other = yield* Effect.flip(Effect.scoped(dialer(proxy.httpsPort, "edge-3.example.com").connect))
      // nginx shows the certificate of its default server, which is of another name.
      assert.strictEqual(other.reason, "Rejected")
    }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer)), 120_000)

  it.live("whose TLS goes through to the operator see its certificate for their name", () =>
    Effect.gen(function*() {
      const { dialer, proxy, withTls } = yield* line
      const sessions = yield* Effect.forEach(
        hosts,
        (host, n) =>
          Effect.flatMap(deviceOn(`edge-${n + 1}`, dialer(proxy.passthroughPort, host)), ({ session }) => session)
      )
      for (const session of sessions) yield* echoes(session, "hello")
      yield* proxy.stop
      yield* proxy.start
      for (const session of sessions) yield* goesOn(session, "after the restart")
      assert.deepStrictEqual(withTls.served.admitted.toSorted(), ["edge-1", "edge-2"])
    }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer)), 300_000)
})
