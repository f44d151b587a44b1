/** Clients that leave while their command takes no input, over real connections: by TLS, through the listener. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Stream } from "effect"
import { connect, type TLSSocket } from "node:tls"
import { constants, createDeflate } from "node:zlib"
import { WebSocket } from "ws"
import { PingInterval } from "../../../adapters/kubelet/hangUp.ts"
import * as KubeletServer from "../../../adapters/kubelet/KubeletServer.ts"
import { headerDictionary } from "../../../adapters/kubelet/spdy/headerDictionary.ts"
import { FakeKubeletBackend, podWith } from "../../fakes/FakeKubeletBackend.ts"
import { FakeReviews } from "../../fakes/FakeReviews.ts"
import { apiserver, door, servers } from "./door.ts"
import { control, data, headerBlock } from "./SpdyPeer.ts"

const world = Layer.provide(door(), Layer.succeed(PingInterval, "200 millis"))

const identity = { ca: servers.cert, cert: apiserver.cert, key: apiserver.key, checkServerIdentity: () => undefined }
const path = "/exec/shop/web/main?command=sleep&input=1&output=1"

/** A command that takes no input; tells when it runs and when it is ended. */
const deaf = Effect.gen(function*() {
  const reviews = yield* FakeReviews
  const backend = yield* FakeKubeletBackend
  yield* reviews.allow("kube-apiserver create proxy")
  yield* backend.add("edge-1", podWith("web", { running: {} }))
  const running = yield* Deferred.make<void>()
  const ended = yield* Deferred.make<void>()
  yield* backend.exec(() =>
    Effect.gen(function*() {
      yield* Effect.addFinalizer(() => Deferred.succeed(ended, undefined))
      yield* Deferred.succeed(running, undefined)
      return {
        stdin: () => Effect.never,
        endStdin: Effect.void,
        resize: () => Effect.void,
        output: Stream.never,
        exitCode: Effect.never
      }
    })
  )
  return { running: Deferred.await(running), ended: Effect.timeout(Deferred.await(ended), "20 seconds") }
})

/** Far more than lies between the two. */
const much = Buffer.alloc(64 * 1024, "x")
const pieces = 800

const stillWaits = (socket: TLSSocket | WebSocket) => {
  const left = () => "bufferedAmount" in socket ? socket.bufferedAmount : socket.writableLength
  return Effect.gen(function*() {
    // What is left grows by the answers to pings at most: the server has stopped reading.
    for (let before = Infinity; left() < before || before === 0;) {
      before = left()
      yield* Effect.sleep("300 millis")
    }
    assert.isAbove(left(), 1_000_000)
  }).pipe(Effect.timeout("20 seconds"))
}

const spdyExec = Effect.gen(function*() {
  const { port } = yield* KubeletServer.KubeletServer
  const socket = yield* Effect.acquireRelease(
    Effect.callback<TLSSocket>((resume) => {
      const socket = connect({ host: "127.0.0.1", port, ...identity }, () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
  const answered = Effect.callback<void>((resume) => void socket.once("data", () => resume(Effect.void)))
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: kubelet\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n` +
      "X-Stream-Protocol-Version: v4.channel.k8s.io\r\nContent-Length: 0\r\n\r\n"
  )
  yield* answered
  const deflate = createDeflate({ dictionary: headerDictionary })
  for (const [index, type] of ["error", "stdin", "stdout"].entries()) {
    const block = yield* Effect.callback<Buffer>((resume) => {
      const parts: Array<Buffer> = []
      const take = (part: Buffer) => void parts.push(part)
      deflate.on("data", take)
      deflate.write(headerBlock({ streamtype: type }))
      deflate.flush(constants.Z_SYNC_FLUSH, () => {
        deflate.off("data", take)
        resume(Effect.succeed(Buffer.concat(parts)))
      })
    })
    const body = Buffer.alloc(10)
    body.writeUInt32BE(2 * index + 1)
    socket.write(control(1, Buffer.concat([body, block])))
  }
  deflate.destroy()
  return socket
})

const webSocketExec = Effect.gen(function*() {
  const { port } = yield* KubeletServer.KubeletServer
  return yield* Effect.acquireRelease(
    Effect.callback<WebSocket>((resume) => {
      const socket = new WebSocket(`wss://127.0.0.1:${port}${path}`, ["v4.channel.k8s.io"], {
        ...identity,
        checkServerIdentity: () => false
      })
      socket.on("open", () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.terminate())
  )
})

describe("a client that leaves while its command takes no input", () => {
  it.live("is noticed over SPDY", () =>
    Effect.gen(function*() {
      const { ended, running } = yield* deaf
      const socket = yield* spdyExec
      yield* running
      for (let piece = 0; piece < pieces; piece++) socket.write(data(3, much))
      yield* stillWaits(socket)
      socket.destroy()
      yield* ended
    }).pipe(Effect.scoped, Effect.provide(world)), 60_000)

  it.live("is noticed over WebSockets", () =>
    Effect.gen(function*() {
      const { ended, running } = yield* deaf
      const socket = yield* webSocketExec
      yield* running
      for (let piece = 0; piece < pieces; piece++) socket.send(Buffer.concat([Buffer.from([0]), much]))
      yield* stillWaits(socket)
      socket.terminate()
      yield* ended
    }).pipe(Effect.scoped, Effect.provide(world)), 60_000)

  it.live("and one that stays gets pings it can answer, and keeps its command", () =>
    Effect.gen(function*() {
      const { ended, running } = yield* deaf
      const socket = yield* webSocketExec
      let pings = 0
      const pinged = Effect.callback<void>((resume) => {
        socket.on("ping", () => {
          pings += 1
          if (pings === 3) resume(Effect.void)
        })
      })
      yield* running
      yield* Effect.timeout(pinged, "20 seconds")
      assert.strictEqual(socket.readyState, WebSocket.OPEN)
      socket.terminate()
      yield* ended
    }).pipe(Effect.scoped, Effect.provide(world)), 60_000)
})
