import { assert, describe, it } from "@effect/vitest"
import { type Cause, Clock, Effect, Fiber, Layer, Option, Queue, Stream } from "effect"
import { Agent } from "node:https"
import { connect, type Socket } from "node:net"
import { connect as connectTls, type ConnectionOptions, getCACertificates, setDefaultCACertificates } from "node:tls"
import * as KubeletServer from "../../../adapters/kubelet/KubeletServer.ts"
import { Authenticator } from "../../../core/kubelet/Authenticator.ts"
import { Authorizer } from "../../../core/kubelet/Authorizer.ts"
import { KubeletApi } from "../../../core/kubelet/KubeletApi.ts"
import type { ServingCertificate } from "../../../core/kubelet/ServingCertificate.ts"
import { RuntimeError } from "../../../core/pod/ContainerRuntime.ts"
import { FakeKubeletBackend, podWith } from "../../fakes/FakeKubeletBackend.ts"
import { FakeReviews } from "../../fakes/FakeReviews.ts"
import { makeAuthority } from "../kube/client/certificates.ts"
import {
  anonymous,
  asServing,
  bodyOf,
  clients,
  collected,
  door,
  kept,
  nameShown,
  open,
  said,
  servers,
  serving
} from "./door.ts"

const strangers = makeAuthority("clients")
const servingAnew = servers.issue("/O=system:nodes/CN=system:node:renewed", "serverAuth")
const stranger = strangers.issue("/O=masters/CN=kube-apiserver", "clientAuth")
const misused = clients.issue("/O=masters/CN=kube-apiserver", "serverAuth")
const nameless = clients.issue("/O=masters", "clientAuth")

const bearer = (token: string) => ({ ...anonymous, headers: { authorization: `Bearer ${token}` } })
const bytes = (text: string) => new TextEncoder().encode(text)
const path = "/containerLogs/shop/web/main"

const prepared = Effect.gen(function*() {
  const reviews = yield* FakeReviews
  const backend = yield* FakeKubeletBackend
  for (const right of ["get proxy", "create proxy", "get metrics"]) yield* reviews.allow(`kube-apiserver ${right}`)
  yield* reviews.enroll("good", "scraper")
  yield* reviews.allow("scraper get metrics edge-1")
  yield* backend.add("edge-1", podWith("web", { running: {} }))
  return { reviews, backend }
})

/** One connection for all that is asked by it. */
const keptAlive = Effect.acquireRelease(
  Effect.sync(() => new Agent({ keepAlive: true, maxSockets: 1 })),
  (agent) => Effect.sync(() => agent.destroy())
)

/** Until it holds, or the test has waited long enough. */
const eventually = <R>(holds: Effect.Effect<boolean, never, R>) =>
  Effect.repeat(Effect.delay(holds, "10 millis"), { until: (yes) => yes, times: 300 })

describe("KubeletServer", () => {
  it.live("knows callers by certificate and by token, and nobody else", () =>
    Effect.gen(function*() {
      yield* prepared
      assert.strictEqual(yield* said("/healthz"), "200 ok")
      assert.strictEqual(yield* said("/healthz", anonymous), "401 Unauthorized")
      assert.strictEqual(yield* said("/healthz", { cert: stranger.cert, key: stranger.key }), "401 Unauthorized")
      assert.strictEqual(yield* said("/healthz", { cert: misused.cert, key: misused.key }), "401 Unauthorized")
      assert.strictEqual(yield* said("/healthz", { cert: nameless.cert, key: nameless.key }), "401 Unauthorized")
      assert.strictEqual(
        yield* said("/metrics/nodes/edge-1/metrics/resource", bearer("good")),
        `200 resource_scrape_error{node="edge-1"} 0\n`
      )
      assert.strictEqual(yield* said("/healthz", bearer("bad")), "401 Unauthorized")
      assert.strictEqual(
        yield* said(path, bearer("good")),
        "403 Forbidden (user=scraper, verb=get, resource=nodes, subresource(s)=[proxy])"
      )
    }).pipe(Effect.provide(door())))

  it.live("hangs up on strangers once they have their answer", () =>
    Effect.gen(function*() {
      yield* prepared
      const { port } = yield* KubeletServer.KubeletServer
      let [heard, over] = ["", false]
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          // Never hangs up by itself.
          const options: ConnectionOptions & { readonly allowHalfOpen: boolean } = {
            ...{ host: "127.0.0.1", port, ca: servers.cert },
            allowHalfOpen: true
          }
          const socket = connectTls(options)
          socket.on("data", (piece: Buffer) => {
            heard += piece.toString()
          })
          socket.on("end", () => {
            over = true
          })
          socket.on("error", () => {})
          socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
          return socket
        }),
        (socket) => Effect.sync(() => socket.destroy())
      )
      yield* eventually(Effect.sync(() => over))
      assert.match(heard, /^HTTP\/1\.1 401 [^]*\r\nconnection: close\r\n/iu)
      assert.isTrue(over)
      // Whoever is known and may not do this may do other things.
      const agent = yield* keptAlive
      const refused = yield* open(path, { agent, ...bearer("good") })
      assert.match(yield* bodyOf(refused.response), /^Forbidden/)
      const next = yield* open(path, { agent, ...bearer("good") })
      assert.strictEqual(next.request.socket, refused.request.socket)
    }).pipe(Effect.provide(door())))

  it.live("believes no authority of the web when it has none of its own", () =>
    Effect.gen(function*() {
      // The web vouches for this client; we do not.
      const web = getCACertificates("default")
      yield* Effect.acquireRelease(
        Effect.sync(() => setDefaultCACertificates([...web, clients.cert])),
        () => Effect.sync(() => setDefaultCACertificates(web))
      )
      yield* Effect.gen(function*() {
        yield* prepared
        assert.strictEqual(yield* said("/healthz"), "401 Unauthorized")
        assert.match(yield* said("/metrics/nodes/edge-1/metrics/resource", bearer("good")), /^200/)
      }).pipe(Effect.provide(door({ clientAuthorities: kept(undefined) })))
    }))

  it.live("is not served where the text of its authority names none", () =>
    Effect.gen(function*() {
      for (const text of ["", "nonsense"]) {
        const error = yield* Effect.flip(
          Effect.scoped(Layer.build(door({ clientAuthorities: kept(text) }, { start: "100 millis" })))
        )
        assert.include(error.message, "it is not known who may vouch for its clients")
      }
    }))

  it.live("keeps its authority for a text that names none", () =>
    Effect.gen(function*() {
      const web = getCACertificates("default")
      yield* Effect.acquireRelease(
        Effect.sync(() => setDefaultCACertificates([...web, strangers.cert])),
        () => Effect.sync(() => setDefaultCACertificates(web))
      )
      const authorities = yield* Queue.unbounded<string | undefined>()
      yield* Queue.offer(authorities, clients.cert)
      yield* Effect.gen(function*() {
        yield* prepared
        for (const text of ["", "nonsense", serving.key]) {
          yield* Queue.offer(authorities, text)
          yield* Effect.sleep("50 millis")
          assert.strictEqual(yield* said("/healthz", { cert: stranger.cert, key: stranger.key }), "401 Unauthorized")
          assert.strictEqual(yield* said("/healthz"), "200 ok")
        }
      }).pipe(Effect.provide(door({ clientAuthorities: Stream.fromQueue(authorities) })))
    }))

  it.live("is not served where nobody could prove who they are", () =>
    Effect.gen(function*() {
      const error = yield* Layer.build(
        KubeletServer.layer({
          host: "127.0.0.1",
          port: 0,
          certificates: kept(asServing(serving)),
          clientAuthorities: kept(undefined)
        }).pipe(
          Layer.provide(KubeletApi.layer),
          Layer.provide([Authenticator.layer, Authorizer.layer]),
          Layer.provide(FakeKubeletBackend.layer),
          Layer.provide(
            Layer.effectDiscard(FakeReviews.use((reviews) => reviews.fail(true))).pipe(
              Layer.provideMerge(FakeReviews.layer)
            )
          )
        )
      ).pipe(Effect.flip)
      assert.strictEqual(error._tag, "KubeletServerRefused")
      assert.include(error.message, "there is no client CA, and tokens cannot be checked")
    }).pipe(Effect.scoped))

  it.live("is not served without a certificate, or with a key that is another's", () =>
    Effect.gen(function*() {
      const unusable = [
        { certificate: serving.cert, privateKey: servingAnew.key },
        { certificate: "", privateKey: "" },
        { certificate: serving.cert, privateKey: "" },
        { certificate: "", privateKey: serving.key }
      ]
      for (const certificates of [Stream.never, ...unusable.map(kept)]) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(door({ certificates }, { start: "100 millis" }))))
        assert.include(error.message, "no usable serving certificate")
      }
    }))

  it.live("names the address it cannot have", () =>
    Effect.gen(function*() {
      const { port } = yield* KubeletServer.KubeletServer
      const error = yield* Effect.flip(Effect.scoped(Layer.build(Layer.fresh(door({ port })))))
      assert.include(error.message, `127.0.0.1:${port}`)
    }).pipe(Effect.provide(door())))

  it.live("sends headers at once and each piece of a log when it is written", () =>
    Effect.gen(function*() {
      const { backend } = yield* prepared
      const pieces = yield* Queue.unbounded<Uint8Array>()
      yield* backend.log(() => Stream.fromQueue(pieces))
      yield* Queue.offer(pieces, bytes(""))
      const { response } = yield* open(`${path}?follow=true`)
      assert.strictEqual(response.statusCode, 200)
      assert.strictEqual(response.headers["transfer-encoding"], "chunked")
      const received: Array<string> = []
      response.on("data", (chunk: Buffer) => received.push(chunk.toString()))
      for (const piece of ["one\n", "two\n"]) {
        yield* Queue.offer(pieces, bytes(piece))
        yield* eventually(Effect.sync(() => received.at(-1) === piece))
      }
      assert.deepStrictEqual(received, ["one\n", "two\n"])
    }).pipe(Effect.provide(door())))

  it.live("lets the device stop when the reader goes away", () =>
    Effect.gen(function*() {
      const { backend } = yield* prepared
      yield* backend.log(() => Stream.concat(Stream.succeed(bytes("one\n")), Stream.never))
      const { request } = yield* open(`${path}?follow=true`)
      request.destroy()
      yield* eventually(Effect.map(backend.diary, (diary) => diary.some((entry) => entry.startsWith("logs closed"))))
      assert.include((yield* backend.diary).at(-1), "logs closed")
    }).pipe(Effect.provide(door())))

  it.live("a slow reader holds the device back", () =>
    Effect.gen(function*() {
      const { backend } = yield* prepared
      let sent = 0
      const piece = new Uint8Array(64 * 1024)
      yield* backend.log(() =>
        Stream.fromEffectRepeat(Effect.sync(() => {
          sent++
          return piece
        }))
      )
      const { request, response } = yield* open(path)
      response.pause()
      yield* Effect.sleep("300 millis")
      const held = sent
      yield* Effect.sleep("300 millis")
      assert.strictEqual(sent, held)
      // Socket buffers of both ends, nothing of ours.
      assert.isBelow(held * piece.length, 16 * 1024 * 1024)
      request.destroy()
    }).pipe(Effect.provide(door())))

  it.live("breaks the body off when the device is lost, and says why before that with a status", () =>
    Effect.gen(function*() {
      const { backend } = yield* prepared
      const lost = new RuntimeError({ reason: "Unavailable", detail: "edge-1 is not connected" })
      yield* backend.log(() => Stream.fail(lost))
      assert.strictEqual(yield* said(path), "500 edge-1 is not connected")
      yield* backend.log(() =>
        Stream.succeed(bytes("one\n")).pipe(
          Stream.concat(Stream.fromEffectDrain(Effect.sleep("20 millis"))),
          Stream.concat(Stream.fail(lost))
        )
      )
      const { response } = yield* open(path)
      const error = yield* Effect.flip(bodyOf(response))
      assert.match(error.message, /aborted|reset|terminated/)
      assert.strictEqual(yield* said("/healthz"), "200 ok")
    }).pipe(Effect.provide(door())))

  it.live("takes a renewed certificate for new connections while open streams go on, and keeps the old for a bad one", () =>
    Effect.gen(function*() {
      const certificates = yield* Queue.unbounded<ServingCertificate>()
      yield* Queue.offer(certificates, asServing(serving))
      yield* Effect.gen(function*() {
        const { backend } = yield* prepared
        const pieces = yield* Queue.unbounded<Uint8Array>()
        yield* backend.log(() => Stream.fromQueue(pieces))
        yield* Queue.offer(pieces, bytes("before\n"))
        const stream = yield* open(`${path}?follow=true`)
        const received = collected(stream.response)
        assert.strictEqual(yield* nameShown, "system:node:edge-1")
        yield* Queue.offer(certificates, asServing(servingAnew))
        yield* eventually(Effect.map(Effect.orDie(nameShown), (name) => name === "system:node:renewed"))
        assert.strictEqual(yield* nameShown, "system:node:renewed")
        yield* Queue.offer(certificates, { certificate: "nonsense", privateKey: serving.key })
        yield* Effect.sleep("50 millis")
        assert.strictEqual(yield* nameShown, "system:node:renewed")
        yield* Queue.offer(pieces, bytes("after\n"))
        yield* eventually(Effect.sync(() => received() === "before\nafter\n"))
        assert.strictEqual(received(), "before\nafter\n")
        assert.strictEqual(yield* said("/healthz"), "200 ok")
      }).pipe(Effect.provide(door({ certificates: Stream.fromQueue(certificates) })))
    }))

  it.live("takes a new client authority, and remembers the last while it cannot be read", () =>
    Effect.gen(function*() {
      const authorities = yield* Queue.unbounded<string | undefined>()
      yield* Queue.offer(authorities, clients.cert)
      yield* Effect.gen(function*() {
        yield* prepared
        assert.strictEqual(yield* said("/healthz"), "200 ok")
        yield* Queue.offer(authorities, undefined)
        yield* Effect.sleep("50 millis")
        assert.strictEqual(yield* said("/healthz"), "200 ok")
        yield* Queue.offer(authorities, strangers.cert)
        const newcomer = said("/healthz", { cert: stranger.cert, key: stranger.key })
        yield* eventually(Effect.map(Effect.orDie(newcomer), (answer) => answer === "200 ok"))
        assert.strictEqual(yield* newcomer, "200 ok")
        assert.strictEqual(yield* said("/healthz"), "401 Unauthorized")
      }).pipe(Effect.provide(door({ clientAuthorities: Stream.fromQueue(authorities) })))
    }))

  it.live("knows nobody any more whose certificate has expired since their connection began", () =>
    Effect.gen(function*() {
      let later = 0
      const clock = yield* Clock.Clock
      const shifted: Clock.Clock = {
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + later,
        currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + later),
        currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
        currentTimeNanos: clock.currentTimeNanos,
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
        monotonicTimeNanos: clock.monotonicTimeNanos,
        sleep: (duration) => clock.sleep(duration)
      }
      yield* Effect.gen(function*() {
        yield* prepared
        const agent = yield* keptAlive
        assert.strictEqual(yield* said("/healthz", { agent }), "200 ok")
        later = 23 * 3_600_000
        assert.strictEqual(yield* said("/healthz", { agent }), "200 ok")
        later = 25 * 3_600_000
        assert.strictEqual(yield* said("/healthz", { agent }), "401 Unauthorized")
      }).pipe(Effect.provide(Layer.provide(door(), Layer.succeed(Clock.Clock, shifted))))
    }))

  it.live("knows nobody any more whose authority has been replaced since their connection began", () =>
    Effect.gen(function*() {
      const authorities = yield* Queue.unbounded<string | undefined>()
      yield* Queue.offer(authorities, clients.cert)
      yield* Effect.gen(function*() {
        const { backend } = yield* prepared
        const pieces = yield* Queue.unbounded<Uint8Array, Cause.Done>()
        yield* backend.log(() => Stream.fromQueue(pieces))
        yield* Queue.offer(pieces, bytes("before\n"))
        const [idle, busy] = [yield* keptAlive, yield* keptAlive]
        const first = yield* open("/healthz", { agent: idle })
        yield* bodyOf(first.response)
        const following = yield* open(path, { agent: busy })
        const received = collected(following.response)
        const { port } = yield* KubeletServer.KubeletServer
        const beginning = yield* Effect.acquireRelease(
          Effect.callback<Socket>((resume) => {
            const socket = connect(port, "127.0.0.1", () => resume(Effect.succeed(socket)))
            socket.on("error", () => {}).resume()
          }),
          (socket) => Effect.sync(() => socket.destroy())
        )
        yield* said("/healthz")
        yield* Queue.offer(authorities, strangers.cert)
        const newcomer = said("/healthz", { cert: stranger.cert, key: stranger.key })
        yield* eventually(Effect.map(Effect.orDie(newcomer), (answer) => answer === "200 ok"))
        // Its client makes another, where that one would have been refused whatever the new authority thinks of it.
        yield* eventually(Effect.sync(() => first.request.socket?.closed === true))
        assert.isTrue(first.request.socket?.closed)
        yield* eventually(Effect.sync(() => beginning.closed))
        assert.isTrue(beginning.closed, "a handshake with the authority of before")
        // What goes on goes on; what is asked next is judged anew.
        yield* Queue.offer(pieces, bytes("after\n"))
        yield* Queue.end(pieces)
        yield* eventually(Effect.sync(() => received() === "before\nafter\n"))
        assert.strictEqual(received(), "before\nafter\n")
        const { request, response } = yield* open("/healthz", { agent: busy })
        assert.isTrue(request.reusedSocket)
        assert.strictEqual(`${response.statusCode} ${yield* bodyOf(response)}`, "401 Unauthorized")
      }).pipe(Effect.provide(door({ clientAuthorities: Stream.fromQueue(authorities) })))
    }))

  it.live("answers an upgrade with plain words, after the same checks", () =>
    Effect.gen(function*() {
      yield* prepared
      const upgrade = { method: "POST", headers: { connection: "Upgrade", upgrade: "SPDY/3.1" } }
      assert.strictEqual(
        yield* said("/exec/shop/web/main?command=sh", upgrade),
        "400 you must specify at least 1 of stdin, stdout, stderr"
      )
      assert.strictEqual(
        yield* said("/exec/shop/web/main?command=sh", { ...upgrade, ...anonymous }),
        "401 Unauthorized"
      )
    }).pipe(Effect.provide(door())))

  it.live("refuses headers beyond its limit, and paths beyond reason", () =>
    Effect.gen(function*() {
      yield* prepared
      const withHeader = (length: number, who = {}) =>
        said("/healthz", { headers: { "x-long": "x".repeat(length) }, ...who })
      for (const huge of [withHeader(1_060_000), withHeader(70_000, anonymous)]) {
        // Hung up on before the client has sent it all, or told so.
        const refused = yield* Effect.exit(huge)
        assert.isTrue(refused._tag === "Failure" || refused.value.startsWith("431"))
      }
      assert.strictEqual(yield* withHeader(1_000_000), "200 ok")
      assert.strictEqual(yield* withHeader(50_000, anonymous), "401 Unauthorized")
      assert.strictEqual(yield* said("/%00/..%2f"), "404 404 page not found")
      assert.strictEqual(yield* said("/healthz"), "200 ok")
    }).pipe(Effect.provide(door())))

  it.live("a listener of one node serves that node alone", () =>
    Effect.gen(function*() {
      const { backend } = yield* prepared
      yield* backend.add("edge-2", podWith("other", { running: {} }))
      assert.match(yield* said("/metrics/resource"), /node="edge-1"/)
      assert.match(yield* said("/containerLogs/shop/other/main"), /^400 pod "other" does not exist/)
      assert.match(yield* said("/metrics/nodes/edge-2/metrics/resource"), /^404/)
    }).pipe(Effect.provide(door({ node: "edge-1" }))))

  it.live("closes in time, with a follower still reading", () =>
    Effect.gen(function*() {
      const follower = yield* Effect.gen(function*() {
        const { backend } = yield* prepared
        yield* backend.log(() => Stream.concat(Stream.succeed(bytes("one\n")), Stream.never))
        const { response } = yield* open(`${path}?follow=true`)
        return yield* Effect.forkDetach(Effect.exit(bodyOf(response)))
      }).pipe(Effect.provide(door({}, { shutdown: "100 millis" })), Effect.timeoutOption("3 seconds"))
      assert.isTrue(Option.isSome(follower))
      if (Option.isSome(follower)) assert.strictEqual((yield* Fiber.join(follower.value))._tag, "Failure")
    }))
})
