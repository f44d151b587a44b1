import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Stream } from "effect"
import type { LinkError } from "../../../core/link/Session.ts"
import { noise } from "./noise.ts"
import { echo, inWorld, string, text } from "./world.ts"

/** What TLS, HTTP/2, gRPC and TCP/IP add to a frame, and a bare acknowledgement of TCP; with timestamps, IPv4. */
const around = 52 + 22 + 9 + 5
const bareAck = 52

describe("what a session costs", () => {
  it.live("an idle one stays below 1 B/s of payload and 4 B/s on the wire", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        yield* world.session("operator")
        yield* Effect.sleep("1 minute")
        const before = yield* world.transport.traffic
        yield* Effect.sleep("10 hours")
        const after = yield* world.transport.traffic
        const frames = after.toDevice.frames - before.toDevice.frames + after.toOperator.frames -
          before.toOperator.frames
        const bytes = after.toDevice.bytes - before.toDevice.bytes + after.toOperator.bytes - before.toOperator.bytes
        assert.isBelow(bytes / 36_000, 1)
        // The answer's acknowledgement is the only bare one of an exchange.
        assert.isBelow((bytes + frames * around + frames / 2 * bareAck) / 36_000, 4)
      })))

  it.live("a small request and its reply cost less than 150 bytes around them", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* operator.request(text("first"))
        yield* Effect.sleep("1 second")
        const before = yield* world.transport.traffic
        yield* operator.request(noise(100))
        yield* Effect.sleep("1 second")
        const after = yield* world.transport.traffic
        const bytes = after.toDevice.bytes - before.toDevice.bytes + after.toOperator.bytes - before.toOperator.bytes
        assert.isBelow(bytes - 200, 150)
      })))

  it.live("a short reply waits for what follows it, and two frames are one", () =>
    inWorld(
      {
        device: (session) =>
          Effect.succeed({
            ...echo,
            // Obeyed; soon after there is something to tell of it.
            onRequest: () =>
              Effect.as(
                Effect.forkDetach(Effect.delay(Effect.ignore(session.request(text("report"))), "30 millis")),
                text("done")
              )
          })
      },
      (world) =>
        Effect.gen(function*() {
          const operator = yield* world.session("operator")
          yield* Effect.sleep("1 second")
          const before = yield* world.transport.traffic
          assert.strictEqual(string(yield* operator.request(text("obey"))), "done")
          const after = yield* world.transport.traffic
          assert.strictEqual(after.toOperator.frames - before.toOperator.frames, 1)
        })
    ))

  it.live("nobody who asks much waits for one short reply", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* Effect.sleep("1 second")
        const before = yield* Clock.currentTimeMillis
        const asking = Effect.forEach(Array.from({ length: 25 }), () => operator.request(text("ask")), {
          concurrency: 5
        })
        yield* Effect.all([asking, asking, asking, asking], { concurrency: 4 })
        assert.isBelow((yield* Clock.currentTimeMillis) - before, 1000)
      })))

  it.live("what may wait leaves with the next thing, and in the end by itself", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* Effect.sleep("1 second")
        const frames = Effect.map(world.transport.traffic, ({ toDevice }) => toDevice.frames)
        const patient = (word: string) => operator.request(text(word), { patienceMillis: 2000 })
        const before = yield* frames
        const waiting = yield* Effect.forkChild(patient("later"))
        yield* Effect.sleep("500 millis")
        assert.strictEqual(yield* frames, before)
        yield* operator.request(text("now"))
        assert.strictEqual(string(yield* Fiber.join(waiting)), "later")
        assert.strictEqual(yield* frames, before + 1)

        yield* Effect.sleep("5 seconds")
        const began = yield* Clock.currentTimeMillis
        yield* patient("alone")
        const took = (yield* Clock.currentTimeMillis) - began
        assert.isAtLeast(took, 2000)
        assert.isBelow(took, 2500)
      })))

  it.live("handshake and resumption cost less than 1 KB", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        yield* world.session("operator")
        yield* Effect.sleep("1 second")
        const first = yield* world.transport.traffic
        assert.isBelow(first.toDevice.bytes + first.toOperator.bytes, 1000)
        yield* world.transport.cut()
        yield* Effect.sleep("10 seconds")
        const second = yield* world.transport.traffic
        assert.isBelow(
          second.toDevice.bytes + second.toOperator.bytes - first.toDevice.bytes - first.toOperator.bytes,
          1000
        )
      })))

  it.live("text is deflated, noise is not", () =>
    inWorld(
      { device: () => Effect.succeed({ ...echo, onRequest: () => Effect.succeed(text("ok")) }) },
      (world) =>
        Effect.gen(function*() {
          const operator = yield* world.session("operator")
          const cost = (message: Uint8Array) =>
            Effect.gen(function*() {
              const before = (yield* world.transport.traffic).toDevice.bytes
              yield* operator.request(message, { priority: "assignment" })
              return (yield* world.transport.traffic).toDevice.bytes - before
            })
          assert.isBelow(
            yield* cost(text(JSON.stringify(Array.from({ length: 200 }, (_, port) => ({ name: "web", port }))))),
            1500
          )
          const plain = yield* cost(noise(5000))
          assert.isAbove(plain, 5000)
          assert.isBelow(plain, 5150)
        })
    ))

  it.live("what holds secrets, is typed or forwarded goes as it is, whatever it repeats", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        // A faster line is not worth the work.
        yield* world.transport.weather({ bytesPerSecond: 100_000 })
        const repetitive = text("the same words over and over, ".repeat(200))
        const cost = (effect: Effect.Effect<unknown, LinkError>) =>
          Effect.gen(function*() {
            const before = (yield* world.transport.traffic).toDevice.bytes
            yield* effect
            yield* Effect.sleep("1 second")
            return (yield* world.transport.traffic).toDevice.bytes - before
          })
        const sent = (priority: "interactive" | "bulk") =>
          cost(Effect.scoped(Effect.gen(function*() {
            const channel = yield* operator.open(text("echo"), { priority })
            yield* channel.send(repetitive)
            yield* channel.end
            yield* Stream.runDrain(channel.messages)
          })))
        assert.isBelow(yield* cost(operator.request(repetitive)), 500)
        assert.isAbove(yield* cost(operator.request(repetitive, { compress: false })), 6000)
        assert.isBelow(yield* sent("bulk"), 700)
        assert.isAbove(yield* sent("interactive"), 6000)
      })))

  it.live("a channel of incompressible messages is carried whole", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        const got = yield* Effect.scoped(Effect.gen(function*() {
          const channel = yield* operator.open(text("echo"), { priority: "bulk" })
          yield* Effect.forkChild(
            Effect.andThen(
              Effect.forEach(Array.from({ length: 64 }, (_, index) => noise(16_000, index + 1)), channel.send),
              channel.end
            )
          )
          return yield* Stream.runFold(channel.messages, () => 0, (sum, message) => sum + message.length)
        }))
        assert.strictEqual(got, 64 * 16_000)
      })))
})
