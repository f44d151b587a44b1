/** Failures that leave together with data, and a connection of which one end breaks. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Stream } from "effect"
import { defaultLimits } from "../../../core/link/LinkLimits.ts"
import { LinkError } from "../../../core/link/Session.ts"
import { messageCost } from "../../../core/link/session/LinkStream.ts"
import { noise } from "./noise.ts"
import { echo, failure, inWorld, string, text } from "./world.ts"

/** Milliseconds until the operator has heard of a failure that leaves together with so many bytes of data. */
const heardAfter = (bytes: number) =>
  inWorld({
    transport: { maxFrame: 4096 },
    device: () =>
      Effect.succeed({
        ...echo,
        onOpen: (message, channel) =>
          string(message) === "filler"
            // All the credit it has, which is as much as may be under way.
            ? Effect.andThen(channel.send(noise(defaultLimits.window - messageCost)), Effect.never)
            : Effect.andThen(
              channel.send(noise(bytes)),
              Effect.fail(new LinkError({ reason: "Refused", detail: "x".repeat(1000) }))
            )
      })
  }, (world) =>
    Effect.scoped(Effect.gen(function*() {
      const operator = yield* world.session("operator")
      yield* world.transport.weather({ delayMillis: [100, 100] })
      yield* operator.open(text("filler"), { priority: "bulk" })
      yield* Effect.sleep(50)
      const before = yield* Clock.currentTimeMillis
      const channel = yield* operator.open(text("failing"), { priority: "bulk" })
      const failed = yield* failure(Stream.runDrain(channel.messages))
      assert.strictEqual(failed.message, `Refused: ${"x".repeat(1000)}`)
      return (yield* Clock.currentTimeMillis) - before
    })))

describe("a failure with much to say", () => {
  it.live("fits its packet, whatever the data before it has left of that", () =>
    Effect.forEach(
      Array.from({ length: 130 }, (_, index) => 3000 + 7 * index),
      (bytes) => Effect.map(heardAfter(bytes), (millis) => assert.isBelow(millis, 2_000, `after ${bytes} bytes`))
    ))
})

describe("a connection of which one direction breaks", () => {
  for (const direction of ["send", "receive"] as const) {
    it.live(`is left at once, and the session goes on by another (${direction})`, () => {
      let broken = false
      const warnings: Array<string> = []
      const defect = Effect.suspend(() => {
        broken = false
        return Effect.die(new Error("this must not be"))
      })
      return inWorld({
        warnings,
        dialers: (own) =>
          own.map((dialer) => ({
            ...dialer,
            connect: Effect.map(dialer.connect, (connection) => ({
              ...connection,
              send: (frame, options) =>
                Effect.suspend(() => broken && direction === "send" ? defect : connection.send(frame, options)),
              receive: Effect.flatMap(
                connection.receive,
                (frame) => broken && direction === "receive" ? defect : Effect.succeed(frame)
              )
            }))
          }))
      }, (world) =>
        Effect.gen(function*() {
          const operator = yield* world.session("operator")
          yield* Effect.sleep("1 second")
          broken = true
          const before = yield* Clock.currentTimeMillis
          assert.strictEqual(string(yield* operator.request(text("x"))), "x")
          assert.isBelow((yield* Clock.currentTimeMillis) - before, 10_000)
          assert.lengthOf(world.sessions.device, 1)
          assert.lengthOf(warnings, 1)
          assert.match(warnings[0] ?? "", /memory #1 broke/)
        }))
    })
  }
})
