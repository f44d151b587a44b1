/** Strangers at the real gRPC listener, while a good device's session goes on: no crash, no hang, no memory for mere claims. */
import { assert, describe, it } from "@effect/vitest"
import { type Cause, Effect, Random, type Scope } from "effect"
import { gzipSync } from "node:zlib"
import { defaultMaxFrame } from "../../../adapters/grpc/GrpcDialer.ts"
import { linkMethod } from "../../../adapters/grpc/linkMethod.ts"
import { Cryptography } from "../../../core/link/Cryptography.ts"
import { encodeFrame, encodeIntroduction } from "../../../core/link/frames.ts"
import { prologue } from "../../../core/link/handshake.ts"
import { initiate } from "../../../core/link/noise/ikPsk2.ts"
import type { Session } from "../../../core/link/Session.ts"
import { openDoor, operatorKey, primitives } from "./openDoor.ts"
import { call, framed, http2, recorder, tcp } from "./rawPeer.ts"

const seed = process.env["FUZZ_SEED"] ?? String(Math.trunc(performance.timeOrigin) % 1_000_000)
console.log(`strangers at the door: FUZZ_SEED=${seed} repeats this run`)

const mebibyte = 1024 * 1024
/** Of gRPC: too large, and what grpc-js answers to what it cannot decode or does not know. */
const resourceExhausted = "8"
const unimplemented = "12"

const text = (words: string) => new TextEncoder().encode(words)

/** The good device's own word for it: a request goes there and its echo comes back. */
const alive = (session: Session) =>
  Effect.gen(function*() {
    const word = text("still here")
    assert.deepStrictEqual(yield* session.request(word, { timeoutMillis: 30_000 }), word)
  })

const ended = (what: Promise<unknown>, limit: "10 seconds" | "30 seconds" = "30 seconds") =>
  Effect.timeout(Effect.promise(() => what), limit)

const int = (least: number, most: number) => Random.nextIntBetween(least, most + 1)
const noise = (length: number) =>
  Effect.map(Effect.forEach(Array.from({ length }), () => int(0, 255)), (bytes) => Uint8Array.from(bytes))

/** The first message of a device nobody knows, as honest as can be. */
const initiation = Effect.gen(function*() {
  const cryptography = yield* Cryptography
  const started = initiate(cryptography, {
    ephemeral: yield* noise(32),
    prologue,
    privateKey: yield* noise(32),
    responderPublic: cryptography.x25519Public(operatorKey),
    payload: encodeIntroduction({ namespace: "edge", device: "stranger" })
  })
  return encodeFrame({ initiation: started?.message ?? new Uint8Array(0) })
})

const message = (frame: Uint8Array) => framed(linkMethod.requestSerialize(frame))

/** What one stranger does, and what the listener must have answered by the end of it. */
const strangers = (
  port: number
): ReadonlyArray<readonly [string, Effect.Effect<void, Cause.TimeoutError, Scope.Scope | Cryptography>]> => {
  const spoken = (bytes: Buffer, headers: Readonly<Record<string, string>> = {}) =>
    Effect.gen(function*() {
      const { status, stream } = call(yield* http2(port), headers)
      stream.write(bytes)
      return { status, stream }
    })
  return [
    [
      "garbage before HTTP/2",
      Effect.gen(function*() {
        const { ended: gone, socket } = yield* tcp(port)
        socket.write(yield* noise(yield* int(24, 2000)))
        yield* ended(gone)
      })
    ],
    [
      "half a preface",
      Effect.gen(function*() {
        const { socket } = yield* tcp(port)
        const preface = text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        socket.write(preface.subarray(0, yield* int(1, preface.length)))
        yield* Effect.sleep("5 millis")
      })
    ],
    [
      "garbage after the preface",
      Effect.gen(function*() {
        const { ended: gone, socket } = yield* tcp(port)
        socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        // A first frame that is no SETTINGS, of a length nobody may send.
        socket.write(Uint8Array.of(0xff, 0xff, 0xff, yield* int(5, 255)))
        socket.write(yield* noise(yield* int(100, 1000)))
        yield* ended(gone)
      })
    ],
    [
      "another method",
      Effect.gen(function*() {
        const { status } = yield* spoken(framed(yield* noise(10)), { ":path": "/aranya.link.v1.Link/Destroy" })
        assert.strictEqual(yield* ended(status), unimplemented)
      })
    ],
    [
      "a message that ends before its length",
      Effect.gen(function*() {
        const { status, stream } = yield* spoken(framed(yield* noise(yield* int(0, 50)), yield* int(51, 60_000)))
        stream.end()
        yield* ended(status)
      })
    ],
    [
      "a message that breaks off",
      Effect.gen(function*() {
        const { stream } = yield* spoken(framed(yield* noise(yield* int(0, 50)), yield* int(51, 60_000)))
        yield* Effect.sleep("5 millis")
        stream.close(yield* int(0, 13))
      })
    ],
    [
      "a message that claims to be enormous",
      Effect.gen(function*() {
        const { status } = yield* spoken(framed(yield* noise(20), yield* int(defaultMaxFrame + 17, 2 ** 32 - 2)))
        assert.strictEqual(yield* ended(status), resourceExhausted)
      })
    ],
    [
      "a message over the limit",
      Effect.gen(function*() {
        const { status } = yield* spoken(message(new Uint8Array(defaultMaxFrame + 100)))
        assert.strictEqual(yield* ended(status), resourceExhausted)
      })
    ],
    [
      "a message that unpacks to 60 MiB",
      Effect.gen(function*() {
        const { status } = yield* spoken(framed(bomb, bomb.length, 1), { "grpc-encoding": "gzip" })
        assert.strictEqual(yield* ended(status), resourceExhausted)
      })
    ],
    [
      "a message that is packed as nobody said",
      Effect.gen(function*() {
        const { status } = yield* spoken(framed(yield* noise(30), 30, 1), { "grpc-encoding": "none-such" })
        assert.notStrictEqual(yield* ended(status), "0")
      })
    ],
    [
      "a message that is no protobuf",
      Effect.gen(function*() {
        const { status } = yield* spoken(framed(yield* noise(yield* int(1, 500))))
        assert.notStrictEqual(yield* ended(status), "none")
      })
    ],
    [
      "frames that are none",
      Effect.gen(function*() {
        const { status, stream } = yield* spoken(Buffer.alloc(0))
        for (let left = yield* int(1, 40); left > 0; left--) stream.write(message(yield* noise(yield* int(0, 200))))
        yield* ended(status)
      })
    ],
    [
      "a first frame that is too large",
      Effect.gen(function*() {
        const { status } = yield* spoken(message(yield* noise(yield* int(4097, 8000))))
        yield* ended(status)
      })
    ],
    [
      "a first message with a bit that fell over",
      Effect.gen(function*() {
        const frame = (yield* initiation).slice()
        const at = yield* int(0, frame.length - 1)
        frame[at] = (frame[at] ?? 0) ^ (1 << (yield* int(0, 7)))
        const { status } = yield* spoken(message(frame))
        yield* ended(status)
      })
    ],
    [
      "half a handshake, then silence",
      Effect.gen(function*() {
        const { status } = yield* spoken(message(yield* initiation))
        yield* ended(status)
      })
    ],
    [
      "half a handshake, then garbage",
      Effect.gen(function*() {
        const { status, stream } = yield* spoken(message(yield* initiation))
        for (let left = 20; left > 0; left--) {
          stream.write(message(encodeFrame({ counter: BigInt(left), sealed: yield* noise(yield* int(0, 300)) })))
        }
        yield* ended(status)
      })
    ],
    [
      "a call that says nothing",
      Effect.gen(function*() {
        const { status } = yield* spoken(Buffer.alloc(0))
        yield* ended(status)
      })
    ]
  ]
}

const bomb = gzipSync(new Uint8Array(60 * mebibyte))
/** What there is of memory outside the heap: received bytes live there. */
const held = () => process.memoryUsage().arrayBuffers

describe("strangers at the gRPC door", () => {
  it.live("are turned away one by one, whatever they send, and nobody notices", () =>
    Effect.gen(function*() {
      const door = yield* openDoor({ handshakeMillis: 400, idle: "2 seconds" })
      const good = yield* door.connect("edge-1")
      yield* alive(good)
      const before = held()
      let most = 0
      const sampling = setInterval(() => most = Math.max(most, held() - before), 5)
      const kinds = strangers(door.port)
      const rounds = 20
      yield* Effect.forEach(
        Array.from({ length: rounds * kinds.length }, (_, index) => kinds[index % kinds.length]!),
        ([kind, come]) =>
          Effect.scoped(come).pipe(
            Effect.mapError((error) => new Error(`${kind}: ${String(error)}`)),
            Effect.catchDefect((defect) => Effect.die(new Error(`${kind}: ${String(defect)}`)))
          ),
        { concurrency: 24, discard: true }
      ).pipe(Effect.raceFirst(Effect.forever(Effect.andThen(alive(good), Effect.sleep("50 millis")))))
      clearInterval(sampling)
      yield* alive(good)
      assert.deepStrictEqual(door.admitted, ["edge-1"])
      assert.lengthOf(yield* door.server.sessions, 1)
      assert.deepStrictEqual(door.ends.untyped, [])
      assert.isAbove(door.ends.typed.length, 0)
      for (const { reason } of door.ends.typed) assert.strictEqual(reason, "Lost")
      // Twenty bombs of 60 MiB and as many claims of up to 4 GiB came; what is held are a few frames and the strangers' own buffers.
      assert.isBelow(most, 64 * mebibyte)
    }).pipe(Effect.scoped, Effect.provide(primitives), Random.withSeed(seed)), 180_000)

  it.live(
    "are closed after a while when they say nothing, thousands of them, and keep no device out",
    () =>
      Effect.gen(function*() {
        const door = yield* openDoor({ handshakeMillis: 3000, idle: "3 seconds" })
        const good = yield* door.connect("edge-1")
        const silent = yield* Effect.forEach(Array.from({ length: 2000 }), () => tcp(door.port), { concurrency: 50 })
        // More calls than there are handshakes at once.
        const sessions = yield* Effect.forEach(Array.from({ length: 4 }), () => http2(door.port))
        const calls = sessions.flatMap((session) => Array.from({ length: 500 }, () => call(session)))
        yield* alive(good)
        const late = yield* door.connect("edge-2")
        yield* alive(late)
        yield* ended(Promise.all(calls.map(({ status }) => status)))
        yield* ended(Promise.all(silent.map(({ ended }) => ended)))
        yield* alive(good)
        yield* alive(late)
        assert.deepStrictEqual(door.admitted, ["edge-1", "edge-2"])
        assert.deepStrictEqual(door.ends.untyped, [])
      }).pipe(Effect.scoped, Effect.provide(primitives)),
    180_000
  )

  it.live("get nowhere with the recorded bytes of a whole connection", () =>
    Effect.gen(function*() {
      const door = yield* openDoor({ handshakeMillis: 1000, idle: "2 seconds" })
      const between = yield* recorder(door.port)
      const good = yield* door.connect("edge-1", between.port)
      yield* alive(good)
      const bytes = Buffer.concat(between.said)
      assert.isAbove(bytes.length, 300)
      for (let times = 0; times < 3; times++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const { ended: gone, socket } = yield* tcp(door.port)
          socket.write(bytes)
          yield* ended(gone)
        }))
      }
      yield* alive(good)
      assert.deepStrictEqual(door.admitted, ["edge-1"])
      assert.lengthOf(yield* door.server.sessions, 1)
      assert.deepStrictEqual(door.ends.untyped, [])
    }).pipe(Effect.scoped, Effect.provide(primitives)), 120_000)
})
