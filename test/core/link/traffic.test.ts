import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { bytesOf, lessTraffic, type TrafficCount } from "../../../core/link/Traffic.ts"
import { noise } from "./noise.ts"
import { inWorld, text } from "./world.ts"

const sum = (count: TrafficCount) => bytesOf(count, "control") + bytesOf(count, "streams") + bytesOf(count, "metrics")

describe("what a session counts", () => {
  it.live("is every byte of its frames, handshakes and what is resent included, each side's sent the other's received", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* operator.request(noise(5_000))
        yield* world.transport.cut()
        yield* Effect.sleep("30 seconds")
        yield* operator.request(text("again"))
        yield* Effect.sleep("1 second")
        const { toDevice, toOperator } = yield* world.transport.traffic
        const count = operator.traffic()
        assert.strictEqual(sum(count), toDevice.bytes + toOperator.bytes)
        assert.strictEqual(count.control.sent, toDevice.bytes)
        assert.strictEqual(count.control.received, toOperator.bytes)
      })))

  it.live("is told apart by what it is for", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        const cost = <A, E>(effect: Effect.Effect<A, E>) =>
          Effect.gen(function*() {
            const before = operator.traffic()
            yield* effect
            yield* Effect.sleep("1 second")
            return lessTraffic(operator.traffic(), before)
          })
        const asked = yield* cost(operator.request(noise(3_000)))
        assert.isAbove(asked.control.sent, 3_000)
        assert.strictEqual(bytesOf(asked, "streams") + bytesOf(asked, "metrics"), 0)

        const scraped = yield* cost(operator.request(noise(3_000), { traffic: "metrics" }))
        assert.isAbove(scraped.metrics.sent, 3_000)
        assert.isAbove(scraped.metrics.received, 3_000)
        assert.isBelow(bytesOf(scraped, "control"), 100)

        const read = yield* cost(Effect.scoped(Effect.gen(function*() {
          const channel = yield* operator.open(text("echo"), { priority: "bulk" })
          yield* Effect.forkChild(
            Effect.andThen(Effect.forEach([1, 2, 3], (seed) => channel.send(noise(8_000, seed))), channel.end)
          )
          yield* Stream.runDrain(channel.messages)
        })))
        assert.isAbove(read.streams.sent, 24_000)
        assert.isAbove(read.streams.received, 24_000)
        assert.isBelow(bytesOf(read, "control"), 500)
      })))

  it.live("is of a channel's kind to the last byte after it was given up", () =>
    inWorld(
      {
        device: () =>
          Effect.succeed({
            onRequest: (message) => Effect.succeed(message),
            onOpen: (_, channel) => Effect.forever(channel.send(noise(4_000)))
          })
      },
      (world) =>
        Effect.gen(function*() {
          const operator = yield* world.session("operator")
          yield* operator.open(text("flood"), { priority: "bulk" }).pipe(
            Effect.flatMap((channel) => Stream.runDrain(Stream.take(channel.messages, 1))),
            Effect.scoped
          )
          yield* Effect.sleep("5 seconds")
          const count = operator.traffic()
          assert.isAbove(count.streams.received, 4_000)
          assert.isBelow(count.control.received, 1_500)
        })
    ))
})
