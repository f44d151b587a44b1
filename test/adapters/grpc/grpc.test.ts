import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Queue, Schedule, Scope, Stream } from "effect"
import { createServer } from "node:net"
import { connect as connectTls } from "node:tls"
import { makeGrpcAcceptor } from "../../../adapters/grpc/GrpcAcceptor.ts"
import { defaultMaxFrame, makeGrpcDialer } from "../../../adapters/grpc/GrpcDialer.ts"
import type { NamedIdentity } from "../../../adapters/grpc/TlsDoor.ts"
import type { Connection } from "../../../core/link/Transport.ts"
import { type Issued, makeAuthority, notYetValid } from "./certificates.ts"
import { listening } from "./listening.ts"

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const bytes = (words: string) => new TextEncoder().encode(words)

/** Sends back every frame until the peer goes. */
const echo = (connection: Connection) =>
  Effect.ignore(Effect.forever(Effect.flatMap(connection.receive, connection.send)))

/** Does nothing until the connection is gone. */
const sit = (connection: Connection) => Effect.ignore(Effect.forever(connection.receive))

const plain = (port: number) => makeGrpcDialer({ target: `127.0.0.1:${port}`, tls: "insecure" })

/** Sockets and timers of this process that would keep it alive. */
const holding = () => process.getActiveResourcesInfo().filter((kind) => /TCP|TLS|Timeout/.test(kind))

const settled = (expected: number) =>
  Effect.gen(function*() {
    while (holding().filter((kind) => /TCP|TLS/.test(kind)).length > expected) yield* Effect.sleep("10 millis")
  }).pipe(Effect.timeout("5 seconds"))

describe("gRPC", () => {
  it.live("carries frames of every size in order, both ways", () =>
    Effect.gen(function*() {
      const { port } = yield* listening({}, echo)
      const connection = yield* plain(port).connect
      const sizes = [0, 1, 100, 16_384, defaultMaxFrame]
      for (const size of sizes) yield* connection.send(new Uint8Array(size).fill(size % 251))
      for (const size of sizes) {
        const frame = yield* connection.receive
        assert.strictEqual(frame.length, size)
        assert.isTrue(frame.every((byte) => byte === size % 251))
      }
    }))

  it.live("tells the acceptor who is there", () =>
    Effect.gen(function*() {
      const seen = yield* Deferred.make<string>()
      const { port } = yield* listening({}, (connection) =>
        Effect.andThen(Deferred.succeed(seen, connection.description), sit(connection)))
      const connection = yield* plain(port).connect
      assert.match(yield* Deferred.await(seen), /^grpc 127\.0\.0\.1:\d+$/)
      assert.strictEqual(connection.description, `grpc 127.0.0.1:${port}`)
    }))

  it.live("delivers what was sent before hanging up, then both sides learn that it is over", () =>
    Effect.gen(function*() {
      const received = yield* Queue.unbounded<string>()
      const { port } = yield* listening({}, (connection) =>
        Effect.gen(function*() {
          while (true) yield* Queue.offer(received, text(yield* connection.receive))
        }).pipe(Effect.catch((error) => Effect.asVoid(Queue.offer(received, error.reason)))))
      yield* Effect.scoped(Effect.gen(function*() {
        const connection = yield* plain(port).connect
        for (const word of ["one", "two", "goodbye"]) yield* connection.send(bytes(word))
      }))
      assert.deepStrictEqual(yield* Queue.takeN(received, 4), ["one", "two", "goodbye", "Lost"])
    }))

  it.live("hangs up when the operator's side is done, after what it sent", () =>
    Effect.gen(function*() {
      const { port } = yield* listening({}, (connection) => Effect.ignore(connection.send(bytes("refused"))))
      const connection = yield* plain(port).connect
      assert.strictEqual(text(yield* connection.receive), "refused")
      const error = yield* Effect.flip(connection.receive)
      assert.strictEqual(error.reason, "Lost")
      assert.strictEqual((yield* Effect.flip(connection.send(bytes("more")))).reason, "Lost")
    }))

  it.live("makes the sender wait while the peer does not read, and goes on when it does", () =>
    Effect.gen(function*() {
      const go = yield* Deferred.make<void>()
      const { port } = yield* listening({}, (connection) => Effect.andThen(Deferred.await(go), sit(connection)))
      const connection = yield* plain(port).connect
      let sent = 0
      const frame = new Uint8Array(32 * 1024)
      const sender = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 2000 }), () =>
          Effect.tap(connection.send(frame), () => Effect.sync(() => sent++)))
      )
      yield* Effect.sleep("300 millis")
      const stalled = sent
      assert.isBelow(stalled * frame.length, 16 * 1024 * 1024)
      yield* Effect.sleep("200 millis")
      assert.strictEqual(sent, stalled)
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(sender)
      assert.strictEqual(sent, 2000)
    }))

  it.live("fails with Refused where nobody listens, or not an operator", () =>
    Effect.gen(function*() {
      const silent = yield* Effect.acquireRelease(
        Effect.callback<ReturnType<typeof createServer>>((resume) => {
          const server = createServer((socket) => socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n"))
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = silent.address() as { port: number }
      assert.strictEqual((yield* Effect.flip(plain(port).connect)).reason, "Refused")
      assert.strictEqual((yield* Effect.flip(plain(1).connect)).reason, "Refused")
    }))

  it.live("fails with Refused when no answer comes within the limit, and leaves no socket", () =>
    Effect.gen(function*() {
      const sockets = new Set<unknown>()
      const mute = yield* Effect.acquireRelease(
        Effect.callback<ReturnType<typeof createServer>>((resume) => {
          const server = createServer((socket) => {
            sockets.add(socket)
            socket.on("close", () => sockets.delete(socket)).on("error", () => {}).resume()
          })
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = mute.address() as { port: number }
      const dialer = makeGrpcDialer({ target: `127.0.0.1:${port}`, tls: "insecure", connectTimeout: "200 millis" })
      const error = yield* Effect.flip(dialer.connect)
      assert.match(error.message, /no answer within 200ms/)
      while (sockets.size > 0) yield* Effect.sleep("10 millis")
    }).pipe(Effect.timeout("5 seconds")))

  it.live("fails with Lost at once when the operator goes away", () =>
    Effect.gen(function*() {
      const { fiber, port } = yield* listening({}, sit)
      const connection = yield* plain(port).connect
      const end = yield* Effect.forkChild(Effect.flip(connection.receive))
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* Fiber.join(end)).reason, "Lost")
      assert.strictEqual((yield* Effect.flip(plain(port).connect)).reason, "Refused")
    }))

  it.live("loses a connection whose peer sends a frame beyond the limit", () =>
    Effect.gen(function*() {
      const lost = yield* Deferred.make<string>()
      const { port } = yield* listening({ maxFrame: 1000 }, (connection) =>
        Effect.flip(connection.receive).pipe(
          Effect.flatMap((error) => Deferred.succeed(lost, error.reason)),
          Effect.ignore
        ))
      const connection = yield* plain(port).connect
      yield* connection.send(new Uint8Array(2000))
      assert.strictEqual((yield* Effect.flip(connection.receive)).reason, "Lost")
      assert.strictEqual(yield* Deferred.await(lost), "Lost")
    }))

  it.live("takes a frame over its own limit for the bug that it is", () =>
    Effect.gen(function*() {
      const { port } = yield* listening({}, sit)
      const connection = yield* plain(port).connect
      const exit = yield* Effect.exit(connection.send(new Uint8Array(defaultMaxFrame + 1)))
      assert.isTrue(Exit.hasDies(exit))
    }))

  it.live("says why it cannot listen", () =>
    Effect.gen(function*() {
      const { port } = yield* listening({}, sit)
      const error = yield* Effect.flip(makeGrpcAcceptor({ host: "127.0.0.1", port, tls: "insecure" }).run(sit))
      assert.match(error.message, new RegExp(`cannot listen on 127.0.0.1:${port}: .*EADDRINUSE`))
    }))

  it.live("turns away connections beyond the most it takes, and takes new ones when some have gone", () =>
    Effect.gen(function*() {
      const { port } = yield* listening(
        { maxConnections: 1 },
        (connection) => Effect.andThen(connection.proven ?? Effect.void, sit(connection))
      )
      const first = yield* Scope.make()
      yield* Scope.provide(plain(port).connect, first)
      const error = yield* Effect.flip(plain(port).connect)
      assert.match(error.message, /1 connections are all this operator takes/)
      yield* Scope.close(first, Exit.void)
      yield* plain(port).connect.pipe(Effect.retry(Schedule.max([Schedule.spaced("10 millis"), Schedule.recurs(100)])))
    }))

  it.live("holds 200 connections at once and leaves nothing behind", () =>
    Effect.gen(function*() {
      const before = holding().filter((kind) => /TCP|TLS/.test(kind)).length
      yield* Effect.scoped(Effect.gen(function*() {
        const { port } = yield* listening({}, echo)
        const connections = yield* Effect.forEach(Array.from({ length: 200 }), () => plain(port).connect, {
          concurrency: 20
        })
        yield* Effect.forEach(connections, (connection, index) =>
          Effect.gen(function*() {
            yield* connection.send(bytes(`device ${index}`))
            assert.strictEqual(text(yield* connection.receive), `device ${index}`)
          }), { concurrency: "unbounded" })
      }))
      yield* settled(before)
    }))
})

describe("gRPC over TLS", () => {
  const authority = makeAuthority("the cluster")
  const stranger = makeAuthority("a stranger")
  const identity = authority.issue("aranya.example")
  const over = (port: number, tls: Parameters<typeof makeGrpcDialer>[0]["tls"]) =>
    makeGrpcDialer({ target: `127.0.0.1:${port}`, tls })
  const said = (connection: Connection) => Effect.map(connection.receive, text)

  it.live("connects to an operator that the configured authority vouches for", () =>
    Effect.gen(function*() {
      const { port } = yield* listening({ tls: identity }, echo)
      const connection = yield* over(port, { ca: authority.cert, serverName: "aranya.example" }).connect
      yield* connection.send(bytes("hello"))
      assert.strictEqual(yield* said(connection), "hello")
    }))

  it.live("rejects another authority, the system's authorities, another name, and plaintext", () =>
    Effect.gen(function*() {
      const { port } = yield* listening({ tls: identity }, echo)
      const reason = (tls: Parameters<typeof over>[1]) =>
        Effect.map(Effect.flip(over(port, tls).connect), (e) => e.reason)
      assert.strictEqual(yield* reason({ ca: stranger.cert }), "Rejected")
      assert.strictEqual(yield* reason({}), "Rejected")
      assert.strictEqual(yield* reason({ ca: authority.cert, serverName: "other.example" }), "Rejected")
      assert.strictEqual(yield* reason("insecure"), "Refused")
    }))

  it.live("says what is wrong and what to do about it", () =>
    Effect.gen(function*() {
      const { port } = yield* listening({ tls: { ...identity, clientCa: authority.cert } }, echo)
      const said = (tls: Parameters<typeof over>[1]) =>
        Effect.map(Effect.flip(over(port, tls).connect), ({ message }) => message.replace(`127.0.0.1:${port}`, "HERE"))
      assert.strictEqual(
        yield* said({ ca: stranger.cert }),
        "a credential was not accepted: HERE: self-signed certificate in certificate chain; the operator's certificate is not "
          + "of an authority in tls.caCert: put ca.crt of the operator's Secret aranya-grpc-tls there, or the CA that signed "
          + "connectivity.grpc.cert"
      )
      assert.strictEqual(
        yield* said({ ca: authority.cert, serverName: "other.example" }),
        "a credential was not accepted: HERE: Hostname/IP does not match certificate's altnames: Host: other.example. is not "
          + "in the cert's altnames: DNS:aranya.example, IP Address:127.0.0.1; dial a name that is in the operator's "
          + "certificate, or set tls.serverName to one"
      )
      assert.strictEqual(
        yield* said({ ca: authority.cert }),
        "a credential was not accepted: HERE: the operator wants a client certificate: set tls.cert and tls.key"
      )
      assert.strictEqual(
        yield* said({ ca: authority.cert, identity: stranger.issue("edge-1") }),
        "a credential was not accepted: HERE: the operator does not accept this client certificate (unable to verify leaf "
          + "signature): set tls.cert and tls.key to one that is valid and of an authority it trusts"
      )
      assert.strictEqual(
        yield* said("insecure"),
        "could not connect: HERE: the connection was ended at once: check that this is the operator's gRPC door, that "
          + "tls.enabled fits it, and tls.cert and tls.key where it wants a client certificate"
      )
    }))

  it.live("is refused for now, not rejected, by a clock that is not yet in the certificate's time", () =>
    Effect.gen(function*() {
      const { authority, cert, key } = notYetValid("aranya.example")
      const { port } = yield* listening({ tls: { cert, key } }, echo)
      const error = yield* Effect.flip(over(port, { ca: authority, serverName: "aranya.example" }).connect)
      assert.strictEqual(
        error.message,
        `could not connect: 127.0.0.1:${port}: certificate is not yet valid; renew the operator's certificate, or set this `
          + "device's clock"
      )
    }))

  it.live("asks for a client certificate where it is told to", () =>
    Effect.gen(function*() {
      const { port } = yield* listening({ tls: { ...identity, clientCa: authority.cert } }, echo)
      const connection = yield* over(port, { ca: authority.cert, identity: authority.issue("edge-1") }).connect
      yield* connection.send(bytes("hello"))
      assert.strictEqual(yield* said(connection), "hello")
      const without = yield* Effect.flip(over(port, { ca: authority.cert }).connect)
      assert.strictEqual(without.reason, "Rejected", without.message)
      const foreign = yield* Effect.flip(over(port, { ca: authority.cert, identity: stranger.issue("edge-1") }).connect)
      assert.strictEqual(foreign.reason, "Rejected", foreign.message)
    }))

  it.live("rejects a client certificate that is not of its key, or is none, before it dials", () =>
    Effect.gen(function*() {
      const { cert } = authority.issue("edge-1")
      for (
        const [client, said] of [
          [{ cert, key: authority.issue("edge-1").key }, "key values mismatch"],
          [{ cert: bytes("no"), key: bytes("no") }, "no start line"]
        ] as const
      ) {
        assert.strictEqual(
          (yield* Effect.flip(over(1, { ca: authority.cert, identity: client }).connect)).message,
          `a credential was not accepted: 127.0.0.1:1: tls.cert and tls.key cannot be used: ${said}; give a certificate and its `
            + "own key"
        )
      }
    }))

  it.live("lets nobody resume a session, with which a client would need no certificate", () =>
    Effect.gen(function*() {
      const renewals = yield* Queue.unbounded<typeof identity>()
      const door = { ...identity, clientCa: authority.cert }
      const { port } = yield* listening({ tls: door, renewals: Stream.fromQueue(renewals) }, echo)
      /** What the server lets a client keep, and whether it took what one had kept before. */
      const visit = (kept?: Buffer, client?: Issued) =>
        Effect.callback<{ readonly kept: Buffer | undefined; readonly resumed: boolean }>((resume) => {
          let newest: Buffer | undefined
          const socket = connectTls({
            port,
            host: "127.0.0.1",
            servername: "aranya.example",
            ca: Buffer.from(authority.cert),
            ALPNProtocols: ["h2"],
            ...(kept === undefined ? {} : { session: kept }),
            ...(client === undefined ? {} : { key: Buffer.from(client.key), cert: Buffer.from(client.cert) })
          })
          socket.on("session", (session) => void (newest = session))
          socket.on("error", () => {})
          // What the server says first comes after its tickets.
          socket.once("data", () => {
            resume(Effect.succeed({ kept: newest, resumed: socket.isSessionReused() }))
            socket.destroy()
          })
        }).pipe(Effect.timeout("10 seconds"))
      for (const client of [undefined, authority.issue("edge-1")]) {
        const { kept } = yield* visit(undefined, client)
        assert.isFalse((yield* visit(kept)).resumed)
      }
      yield* Queue.offer(renewals, door)
      yield* Effect.sleep("100 millis")
      const { kept } = yield* visit()
      assert.isFalse((yield* visit(kept)).resumed)
    }))

  it.live("shows a renewed certificate to new connections while the old ones go on", () =>
    Effect.gen(function*() {
      const renewals = yield* Queue.unbounded<typeof identity>()
      const { port } = yield* listening({ tls: identity, renewals: Stream.fromQueue(renewals) }, echo)
      const old = yield* over(port, { ca: authority.cert }).connect
      yield* Queue.offer(renewals, { key: identity.key, cert: bytes("not a certificate") })
      yield* Queue.offer(renewals, stranger.issue("aranya.example"))
      const renewed = Effect.gen(function*() {
        while (Exit.isFailure(yield* Effect.exit(Effect.scoped(over(port, { ca: stranger.cert }).connect)))) {
          yield* Effect.sleep("20 millis")
        }
      })
      yield* Effect.timeout(renewed, "5 seconds")
      yield* old.send(bytes("still here"))
      assert.strictEqual(yield* said(old), "still here")
    }))

  it.live("shows each device the certificate of the name it asks for, and asks only its clients for theirs", () =>
    Effect.gen(function*() {
      const refusals: Array<string> = []
      const named = (name: string, issued: Issued, rest: Partial<NamedIdentity> = {}): NamedIdentity => ({
        ...issued,
        serverNames: [],
        refused: (why) => Effect.sync(() => void refusals.push(`${name}: ${why}`)),
        ...rest
      })
      const known = yield* Deferred.make<void>()
      const identities = [
        named("one", stranger.issue("*.one.example"), { clientCa: stranger.cert }),
        named("thief", authority.issue("aranya.example")),
        named("second", authority.issue("second.example"), { serverNames: ["x.second.example"] }),
        named("copy", authority.issue("x"), { serverNames: ["X.second.example", "copy.example"] }),
        named("broken", { key: bytes("no"), cert: bytes("no") })
      ]
      const { port } = yield* listening({
        tls: identity,
        named: Stream.make(identities).pipe(Stream.ensuring(Deferred.succeed(known, undefined)))
      }, echo)
      yield* Deferred.await(known)
      const asking = (serverName: string, ca: Uint8Array, client?: Issued) =>
        makeGrpcDialer({
          target: `127.0.0.1:${port}`,
          tls: { ca, serverName, ...(client === undefined ? {} : { identity: client }) }
        }).connect
      const greeted = Effect.fnUntraced(function*(connect: ReturnType<typeof asking>) {
        const connection = yield* connect
        yield* connection.send(bytes("hello"))
        return yield* said(connection)
      })
      assert.strictEqual(
        yield* greeted(asking("edge-1.one.example", stranger.cert, stranger.issue("edge-1"))),
        "hello"
      )
      yield* Effect.flip(asking("edge-1.one.example", stranger.cert))
      yield* Effect.flip(asking("edge-1.one.example", stranger.cert, authority.issue("edge-1")))
      assert.strictEqual(yield* greeted(asking("aranya.example", authority.cert)), "hello")
      yield* Effect.flip(asking("x.second.example", authority.cert))
      assert.deepStrictEqual(refusals.map((why) => why.replace(/used: .*/u, "used")), [
        "thief: aranya.example is the name of another certificate already",
        "copy: x.second.example is the name of another certificate already",
        "broken: its certificate or key cannot be used"
      ])
    }))

  it.live("gives nobody a name that a wildcard before it speaks for, the operator's own first", () =>
    Effect.gen(function*() {
      const refusals: Array<string> = []
      const known = yield* Deferred.make<void>()
      const named = (issued: Issued, serverName?: string): NamedIdentity => ({
        ...issued,
        serverNames: serverName === undefined ? [] : [serverName],
        refused: (why) => Effect.sync(() => void refusals.push(why))
      })
      const identities = [
        named(stranger.issue("door.aranya.example"), "DOOR.aranya.example"),
        named(stranger.issue("door"), "127.0.0.1"),
        named(stranger.issue("*.one.example")),
        named(authority.issue("edge-1.one.example")),
        named(stranger.issue("a.door.aranya.example"))
      ]
      const { port } = yield* listening({
        tls: authority.issue("*.aranya.example"),
        named: Stream.make(identities).pipe(Stream.ensuring(Deferred.succeed(known, undefined)))
      }, echo)
      yield* Deferred.await(known)
      for (
        const [serverName, ca] of [
          ["door.aranya.example", authority.cert],
          ["edge-1.one.example", stranger.cert],
          // A wildcard is one label, and this is two.
          ["a.door.aranya.example", stranger.cert]
        ] as const
      ) {
        const connection = yield* over(port, { ca, serverName }).connect
        yield* connection.send(bytes("hello"))
        assert.strictEqual(yield* said(connection), "hello", serverName)
      }
      yield* over(port, { ca: authority.cert }).connect
      assert.deepStrictEqual(refusals, [
        "door.aranya.example is the name of another certificate already",
        "127.0.0.1 is the name of another certificate already",
        "edge-1.one.example is the name of another certificate already"
      ])
    }))

  it.live("weighs names anew when its own certificate has others", () =>
    Effect.gen(function*() {
      const refusals: Array<string> = []
      const renewals = yield* Queue.unbounded<typeof identity>()
      const { port } = yield* listening({
        tls: authority.issue("*.aranya.example"),
        renewals: Stream.fromQueue(renewals),
        named: Stream.make([{
          ...stranger.issue("door.aranya.example"),
          serverNames: [],
          refused: (why: string) => Effect.sync(() => void refusals.push(why))
        }])
      }, echo)
      const shownBy = (ca: typeof authority.cert) =>
        Effect.scoped(over(port, { ca, serverName: "door.aranya.example" }).connect).pipe(
          Effect.retry(Schedule.max([Schedule.spaced("20 millis"), Schedule.recurs(200)]))
        )
      yield* shownBy(authority.cert)
      yield* Queue.offer(renewals, authority.issue("elsewhere.example"))
      yield* shownBy(stranger.cert)
      const told = refusals.length
      yield* Queue.offer(renewals, authority.issue("*.aranya.example"))
      yield* shownBy(authority.cert)
      assert.isAbove(refusals.length, told)
    }))

  it.live("says which certificate it cannot use", () =>
    Effect.gen(function*() {
      const acceptor = makeGrpcAcceptor({
        host: "127.0.0.1",
        port: 0,
        tls: { key: bytes("no key"), cert: identity.cert }
      })
      assert.match(
        (yield* Effect.flip(acceptor.run(sit))).message,
        /cannot listen on 127.0.0.1:0: .*(PEM|DECODER|key)/i
      )
    }))
})
