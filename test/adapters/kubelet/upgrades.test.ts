/** Connections that asked to leave HTTP: what becomes of them when they are refused, over, not read, or cut. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Latch, Option, Queue, Scope, Stream } from "effect"
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls"
import { queryObjects } from "node:v8"
import { WebSocket } from "ws"
import * as KubeletServer from "../../../adapters/kubelet/KubeletServer.ts"
import type { ServingCertificate } from "../../../core/kubelet/ServingCertificate.ts"
import type { ProcessStreams } from "../../../core/pod/ContainerRuntime.ts"
import { FakeKubeletBackend, podWith } from "../../fakes/FakeKubeletBackend.ts"
import { FakeReviews } from "../../fakes/FakeReviews.ts"
import { apiserver, asServing, door, servers, serving } from "./door.ts"
import { makeOpenings } from "./SpdyPeer.ts"

const exec = "/exec/shop/web/main?command=sh&output=1"
const upgrade = `POST ${exec} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n` +
  "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n"

const dial = (more: ConnectionOptions & { readonly allowHalfOpen?: boolean } = {}) =>
  Effect.flatMap(KubeletServer.KubeletServer, ({ port }) =>
    Effect.acquireRelease(
      Effect.callback<TLSSocket>((resume) => {
        const options: ConnectionOptions = { host: "127.0.0.1", port, ca: servers.cert, ...more }
        const socket = connect(options, () => resume(Effect.succeed(socket)))
        socket.on("error", () => {})
      }),
      (socket) => Effect.sync(() => socket.destroy())
    ))

const heardBy = (socket: TLSSocket) => {
  let heard = ""
  socket.on("data", (bytes: Buffer) => {
    heard += bytes.toString("latin1")
  })
  return () => heard
}

const closed = (socket: TLSSocket) =>
  Effect.callback<void>((resume) => {
    if (socket.closed) return resume(Effect.void)
    socket.once("close", () => resume(Effect.void))
  })

const prepared = Effect.gen(function*() {
  yield* FakeReviews.use((reviews) => reviews.allow("kube-apiserver create proxy"))
  const backend = yield* FakeKubeletBackend
  yield* backend.add("edge-1", podWith("web", { running: {} }))
  return backend
})

const never: ProcessStreams = {
  stdin: () => Effect.void,
  endStdin: Effect.void,
  resize: () => Effect.void,
  output: Stream.never,
  exitCode: Effect.never
}

/** Runs for ever, and tells when it does and when it is ended. */
const watched = Effect.gen(function*() {
  const running = yield* Deferred.make<void>()
  const ended = yield* Deferred.make<void>()
  const exec = () =>
    Effect.gen(function*() {
      yield* Effect.addFinalizer(() => Deferred.succeed(ended, undefined))
      yield* Deferred.succeed(running, undefined)
      return never
    })
  return { running: Deferred.await(running), ended: Deferred.await(ended), exec }
})

const webSocket = (path: string) =>
  Effect.flatMap(KubeletServer.KubeletServer, ({ port }) =>
    Effect.acquireRelease(
      Effect.callback<WebSocket, Error>((resume) => {
        const socket = new WebSocket(`wss://127.0.0.1:${port}${path}`, ["v4.channel.k8s.io"], {
          ca: servers.cert,
          ...apiserver,
          checkServerIdentity: () => false
        })
        socket.on("open", () => resume(Effect.succeed(socket)))
        socket.on("error", (error) => resume(Effect.fail(error)))
      }),
      (socket) => Effect.sync(() => socket.terminate())
    ))

describe("connections that ask for an upgrade", () => {
  it.live("are hung up on once they were refused, whatever a stranger still says", () =>
    Effect.gen(function*() {
      yield* prepared
      // Never hangs up by itself.
      const socket = yield* dial({ allowHalfOpen: true })
      const heard = heardBy(socket)
      socket.write(upgrade)
      while (!heard().includes("Unauthorized\r\n") && !heard().endsWith("Unauthorized")) {
        yield* Effect.sleep("10 millis")
      }
      // Bytes that nobody reads would hold an end of the connection for ever.
      const saying = yield* Effect.forkScoped(
        Effect.forever(Effect.andThen(Effect.sync(() => socket.write("x".repeat(100))), Effect.sleep("20 millis")))
      )
      yield* closed(socket)
      assert.isUndefined(saying.pollUnsafe())
    }).pipe(Effect.scoped, Effect.provide(door({}, { goodbye: "100 millis" }))))

  it.live("are hung up on where another request is still being answered", () =>
    Effect.gen(function*() {
      yield* prepared
      const socket = yield* dial(apiserver)
      const heard = heardBy(socket)
      socket.write(`GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n${upgrade}`)
      yield* closed(socket)
      assert.notInclude(heard(), "101 Switching Protocols")
    }).pipe(Effect.scoped, Effect.provide(door({}, { goodbye: "100 millis" }))))

  it.live("end their process when the client is cut off in the middle of everything", () =>
    Effect.gen(function*() {
      const backend = yield* prepared
      const { ended, exec, running } = yield* watched
      yield* backend.exec(exec)
      const socket = yield* webSocket("/exec/shop/web/main?command=sh&input=1&output=1")
      yield* running
      socket.terminate()
      yield* ended
    }).pipe(Effect.scoped, Effect.provide(door())))

  it.live("end their process when the listener is closed", () =>
    Effect.gen(function*() {
      const { ended, exec, running } = yield* watched
      const inTime = yield* Effect.gen(function*() {
        const backend = yield* prepared
        yield* backend.exec(exec)
        yield* webSocket("/exec/shop/web/main?command=sh&output=1")
        yield* running
      }).pipe(
        Effect.scoped,
        Effect.provide(door({}, { shutdown: "100 millis" })),
        Effect.timeoutOption("20 seconds")
      )
      assert.isTrue(Option.isSome(inTime))
      yield* ended
    }))

  it.live("do not keep the listener from closing, be their client awake or stalled", () =>
    Effect.gen(function*() {
      const clients: Record<string, Effect.Effect<unknown, Error, KubeletServer.KubeletServer | Scope.Scope>> = {
        "a WebSocket": webSocket(exec),
        "a stalled WebSocket": Effect.tap(webSocket(exec), (socket) => Effect.sync(() => socket.pause())),
        "a stalled SPDY connection": Effect.gen(function*() {
          const socket = yield* dial(apiserver)
          const heard = heardBy(socket)
          socket.write(upgrade)
          while (!heard().includes("\r\n\r\n")) yield* Effect.sleep("10 millis")
          socket.pause()
          const openings = makeOpenings()
          socket.write(yield* openings.frame(1, { streamtype: "error" }))
          socket.write(yield* openings.frame(3, { streamtype: "stdout" }))
          openings.destroy()
        })
      }
      for (const [what, client] of Object.entries(clients)) {
        let written = 0
        // The client outlives the listener.
        const outer = yield* Effect.scope
        const flooded = yield* Deferred.make<void>()
        const closing = yield* Effect.gen(function*() {
          const backend = yield* prepared
          yield* backend.exec(() =>
            Effect.succeed({
              ...never,
              output: Stream.fromEffectRepeat(Effect.sync(() => {
                written++
                return { stream: "stdout" as const, bytes: new Uint8Array(32 * 1024) }
              })).pipe(Stream.take(1000), Stream.concat(Stream.never))
            })
          )
          yield* Effect.provideService(client, Scope.Scope, outer)
          let before = -1
          while (before !== written || written === 0) {
            before = written
            yield* Effect.sleep("300 millis")
          }
          yield* Deferred.succeed(flooded, undefined)
        }).pipe(
          Effect.provide(door({}, { shutdown: "100 millis", goodbye: "1 second" })),
          Effect.forkDetach
        )
        yield* Deferred.await(flooded)
        assert.isTrue(Option.isSome(yield* Effect.timeoutOption(Fiber.join(closing), "5 seconds")), what)
      }
    }).pipe(Effect.scoped))

  it.live("go on when the serving certificate is renewed", () =>
    Effect.gen(function*() {
      const certificates = yield* Queue.unbounded<ServingCertificate>()
      yield* Queue.offer(certificates, asServing(serving))
      yield* Effect.gen(function*() {
        const backend = yield* prepared
        const output = yield* Queue.unbounded<Uint8Array>()
        yield* backend.exec(() =>
          Effect.succeed({
            ...never,
            stdin: (bytes) => Effect.asVoid(Queue.offer(output, bytes)),
            output: Stream.map(Stream.fromQueue(output), (bytes) => ({ stream: "stdout" as const, bytes }))
          })
        )
        const socket = yield* webSocket("/exec/shop/web/main?command=cat&input=1&output=1")
        let heard = ""
        socket.on("message", (message: Buffer) => {
          heard += message.subarray(1).toString()
        })
        const echoes = Effect.fnUntraced(function*(word: string) {
          socket.send(`\u0000${word}`)
          while (!heard.endsWith(word)) yield* Effect.sleep("10 millis")
        })
        yield* echoes("before")
        const shown = Effect.scoped(Effect.map(dial(), (other) => other.getPeerCertificate().subject.CN))
        assert.strictEqual(yield* shown, "system:node:edge-1")
        yield* Queue.offer(certificates, asServing(servers.issue("/CN=system:node:renewed", "serverAuth")))
        while ((yield* shown) !== "system:node:renewed") yield* Effect.sleep("10 millis")
        yield* echoes("after")
        assert.strictEqual(heard, "beforeafter")
      }).pipe(Effect.scoped, Effect.provide(door({ certificates: Stream.fromQueue(certificates) })))
    }))

  it.live("make a process wait whose WebSocket is not read", () =>
    Effect.gen(function*() {
      const backend = yield* prepared
      let written = 0
      const bytes = new Uint8Array(32 * 1024)
      const pieces = 1500
      yield* backend.exec(() =>
        Effect.succeed({
          ...never,
          output: Stream.fromEffectRepeat(Effect.sync(() => {
            written += bytes.length
            return { stream: "stdout" as const, bytes }
          })).pipe(Stream.take(pieces)),
          exitCode: Effect.succeed(0)
        })
      )
      const socket = yield* webSocket("/exec/shop/web/main?command=yes&output=1")
      let heard = 0
      socket.on("message", (message: Buffer) => {
        heard += message[0] === 1 ? message.length - 1 : 0
      })
      socket.pause()
      let before = -1
      while (before !== written) {
        before = written
        yield* Effect.sleep("500 millis")
      }
      // What the sockets of both ends hold, and nothing of ours.
      assert.isBelow(written, 16 * 1024 * 1024)
      socket.resume()
      while (heard < pieces * bytes.length) yield* Effect.sleep("20 millis")
      assert.strictEqual(heard, pieces * bytes.length)
    }).pipe(Effect.scoped, Effect.provide(door())))

  it.live("bring commands that are as long as a kubelet takes them", () =>
    Effect.gen(function*() {
      const backend = yield* prepared
      const asked = yield* Deferred.make<ReadonlyArray<string>>()
      yield* backend.exec((_at, _container, { command }) => Effect.as(Deferred.succeed(asked, command), never))
      // Three times as long on its way.
      const script = "\n".repeat(300_000)
      yield* webSocket(`/exec/shop/web/main?command=sh&command=${encodeURIComponent(script)}&output=1`)
      assert.deepStrictEqual(yield* Deferred.await(asked), ["sh", script])
    }).pipe(Effect.scoped, Effect.provide(door())))

  it.live("keep no messages without bytes for a process that takes no input", () =>
    Effect.gen(function*() {
      const backend = yield* prepared
      const hungry = yield* Latch.make(false)
      const full = yield* Latch.make(false)
      let taken = ""
      yield* backend.exec(() =>
        Effect.succeed({
          ...never,
          stdin: (bytes) =>
            hungry.whenOpen(Effect.sync(() => {
              taken += Buffer.from(bytes).toString()
              if (taken.endsWith("!")) full.openUnsafe()
            })),
          output: Stream.drain(Stream.fromEffect(full.await)),
          exitCode: Effect.succeed(0)
        })
      )
      const socket = yield* dial(apiserver)
      const heard = heardBy(socket)
      const hears = (words: string) =>
        Effect.repeat(Effect.sleep("10 millis"), { until: () => heard().includes(words) })
      socket.write(
        "GET /exec/shop/web/main?command=sh&input=1&output=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n" +
          "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
          "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n"
      )
      yield* hears("\r\n\r\n")
      /** A frame with a mask of zeros. */
      const frame = (opcode: number, payload = "") =>
        Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length, 0, 0, 0, 0]), Buffer.from(payload)])
      const [text, binary, ping] = [1, 2, 9]
      const stdin = (word: string) => frame(binary, `\u0000${word}`)
      const words = Array.from({ length: 100 }, (_, index) => `${index} `)
      socket.write(Buffer.concat([...words.map(stdin), frame(ping, "input")]))
      yield* hears("input")
      const kept = () => queryObjects(Uint8Array, { format: "count" }) as number
      const before = kept()
      const flood = Buffer.concat([frame(text), ...Array.from({ length: 9 }, () => frame(binary))])
      socket.write(Buffer.alloc(20_000 * flood.length, flood))
      socket.write(frame(ping, "flood"))
      yield* hears("flood")
      assert.isBelow(kept() - before, 10_000)
      socket.write(stdin("!"))
      yield* hungry.open
      // Its outcome, and a normal end.
      yield* hears(`"status":"Success"}\u0088\u0002\u0003\u00e8`)
      assert.strictEqual(taken, `${words.join("")}!`)
    }).pipe(Effect.scoped, Effect.provide(door())), 60_000)
})
