import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Option, Stream, SubscriptionRef } from "effect"
import { noise } from "./noise.ts"
import { echo, failure, inWorld, lateFrame, string, text } from "./world.ts"

/** Joins pieces, to compare bytes whatever the bounds. */
const joined = (pieces: ReadonlyArray<Uint8Array>) => Buffer.concat(pieces)

const pieces = Array.from({ length: 60 }, (_, index) => noise(10_000, index + 1))

describe("a session whose connection breaks", () => {
  it.live("goes on where it was, channels in mid-stream included, byte for byte", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* world.transport.weather({ delayMillis: [20, 40], bytesPerSecond: 100_000 })
        const streaming = yield* Effect.forkChild(Effect.scoped(Effect.gen(function*() {
          const channel = yield* operator.open(text("echo"), { priority: "bulk" })
          const sending = Effect.andThen(Effect.forEach(pieces, channel.send, { discard: true }), channel.end)
          const [, got] = yield* Effect.all([sending, Stream.runCollect(channel.messages)], { concurrency: 2 })
          return got
        })))
        for (let cuts = 0; cuts < 5; cuts++) {
          yield* Effect.sleep(700 + cuts * 150)
          yield* world.transport.cut()
        }
        const got = yield* Fiber.join(streaming)
        assert.strictEqual(got.length, pieces.length)
        assert.strictEqual(Buffer.compare(joined(got), joined(pieces)), 0)
        assert.strictEqual(world.sessions.operator.length, 1)
        assert.strictEqual(world.admitted.length, 1)
      })))

  it.live("sends again at once, on the new connection, what the old one swallowed", () =>
    // Only the new connection can be the reason: the timer for what was not acknowledged is far off.
    inWorld({ timings: { resendFirstMillis: 25_000 } }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* Effect.sleep(100)
        yield* world.transport.weather({ blackHole: true }, "toDevice")
        const asked = yield* Effect.forkChild(operator.request(text("x")))
        yield* Effect.sleep(100)
        const again = yield* SubscriptionRef.changes(operator.connected).pipe(
          Stream.dropWhile((connected) => connected),
          Stream.filter((connected) => connected),
          Stream.runHead,
          Effect.forkChild({ startImmediately: true })
        )
        yield* world.transport.weather({ blackHole: false })
        yield* world.transport.cut()
        yield* Fiber.join(again)
        const answer = yield* Effect.timeoutOption(Fiber.join(asked), "1 second")
        assert.strictEqual(Option.getOrUndefined(Option.map(answer, string)), "x")
      })))

  it.live("keeps requests waiting until the device is back", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* world.transport.refuse("Refused")
        yield* world.transport.cut()
        yield* Effect.sleep(100)
        assert.isFalse(yield* SubscriptionRef.get(operator.connected))
        const asked = yield* Effect.forkChild(operator.request(text("still there?"), { timeoutMillis: 120_000 }))
        yield* Effect.sleep(40_000)
        yield* world.transport.refuse(undefined)
        assert.strictEqual(string(yield* Fiber.join(asked)), "still there?")
        assert.isTrue(yield* SubscriptionRef.get(operator.connected))
      })))

  it.live("is lost on both sides after the session timeout, and a new one begins", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        const device = yield* world.session("device")
        yield* world.transport.refuse("Refused")
        yield* world.transport.cut()
        const asked = yield* Effect.forkChild(failure(operator.request(text("x"), { timeoutMillis: 3_600_000 })))
        const open = yield* Effect.forkChild(failure(Effect.scoped(Effect.gen(function*() {
          const channel = yield* device.open(text("x"))
          yield* Stream.runDrain(channel.messages)
        }))))
        yield* Effect.sleep("6 minutes")
        assert.strictEqual((yield* Fiber.join(asked)).reason, "SessionLost")
        assert.strictEqual((yield* Fiber.join(open)).reason, "SessionLost")
        assert.match(yield* operator.closed, /300 s/)
        assert.isTrue(Option.isNone(yield* SubscriptionRef.get(world.client.current)))
        assert.deepStrictEqual(yield* world.server.sessions, [])
        assert.strictEqual((yield* failure(operator.request(text("x")))).reason, "SessionLost")
        yield* world.transport.refuse(undefined)
        const next = yield* world.session("operator", 2)
        assert.notStrictEqual(next.id, operator.id)
        assert.strictEqual(string(yield* next.request(text("again"))), "again")
      })))

  it.live("begins anew, and remembers what it is, where it ends on the device while it is told that it goes on", () =>
    // Dialed often, so that one handshake is under way when the session's time is over.
    inWorld({ timings: { sessionTimeoutMillis: 20_000, backoffMostMillis: 1_000 } }, (world) =>
      Effect.gen(function*() {
        const device = yield* world.session("device")
        yield* Effect.sleep("1 second")
        // The device gives the connection up soon: it has sent something. The operator has not, and keeps it for long.
        yield* world.transport.weather({ blackHole: true })
        yield* world.transport.refuse("Refused")
        yield* Effect.forkChild(Effect.exit(device.request(text("x"), { timeoutMillis: 600_000 })))
        yield* SubscriptionRef.changes(device.connected).pipe(
          Stream.dropWhile((connected) => connected),
          Stream.runHead
        )
        yield* Effect.sleep("17 seconds")
        yield* world.transport.weather({ blackHole: false, delayMillis: [1_000, 1_000] })
        yield* world.transport.refuse(undefined)
        assert.match(yield* device.closed, /20 s/)
        assert.lengthOf(yield* world.server.sessions, 1, "the operator has it still")
        yield* Effect.sleep("5 seconds")
        assert.isNotEmpty([...world.memory.lineage])
        const next = yield* world.session("operator", 2)
        assert.strictEqual(string(yield* next.request(text("again"))), "again")
        assert.lengthOf(world.sessions.device, 2)
        assert.deepStrictEqual(world.admitted.map(({ hello }) => [...hello.lineage]), [[], [1]])
        assert.deepStrictEqual([...world.memory.lineage], [2])
      })))

  it.live("notices a half-open connection by its beats, on both sides, and replaces it", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* Effect.sleep("10 minutes")
        const before = yield* world.transport.diary
        assert.deepStrictEqual(before.filter((entry) => entry.includes("hung up")), [])
        yield* world.transport.weather({ blackHole: true })
        yield* Effect.sleep("137 seconds")
        assert.isFalse(yield* SubscriptionRef.get(operator.connected))
        yield* world.transport.weather({ blackHole: false })
        yield* Effect.sleep("60 seconds")
        assert.isTrue(yield* SubscriptionRef.get(operator.connected))
        assert.strictEqual(world.sessions.operator.length, 1)
        assert.strictEqual(string(yield* operator.request(text("back"))), "back")
      })))

  it.live("beats and waits as the operator says, whatever the device was started with", () =>
    inWorld(
      { operatorTimings: { beatMillis: 3_000, sessionTimeoutMillis: 20_000 } },
      (world) =>
        Effect.gen(function*() {
          const operator = yield* world.session("operator")
          const device = yield* world.session("device")
          yield* Effect.sleep("1 minute")
          assert.strictEqual(world.sessions.device.length, 1, "beats every 3 seconds keep it up")
          assert.isTrue(yield* SubscriptionRef.get(operator.connected))
          yield* world.transport.refuse("Refused")
          yield* world.transport.weather({ blackHole: true })
          yield* Effect.sleep("5 seconds")
          assert.isFalse(yield* SubscriptionRef.get(operator.connected))
          assert.isFalse(yield* SubscriptionRef.get(device.connected))
          yield* Effect.sleep("21 seconds")
          assert.match(yield* operator.closed, /within 20 s/)
          assert.match(yield* device.closed, /within 20 s/)
        })
    ))

  it.live("notices silence also while the connection takes nothing more", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* world.transport.weather({ bytesPerSecond: 0.01 })
        yield* Effect.forkChild(Effect.exit(operator.request(text("x"), { timeoutMillis: 1_000_000 })))
        yield* Effect.sleep("137 seconds")
        assert.isFalse(yield* SubscriptionRef.get(operator.connected))
      })))

  it.live("ends when the operator ends it; the device learns why and begins another", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const device = yield* world.session("device")
        yield* world.server.end({ namespace: "default", device: "edge-1" }, "the key was changed")
        assert.strictEqual(yield* device.closed, "the peer ended it: the key was changed")
        const next = yield* world.session("device", 2)
        assert.strictEqual(string(yield* next.request(text("x"))), "x")
        yield* world.server.end({ namespace: "default", device: "unknown" }, "nothing")
      })))

  it.live("is ended where its handlers cannot be made", () =>
    inWorld({ operator: () => Effect.die(new Error("broken")) }, (world) =>
      Effect.gen(function*() {
        const device = yield* world.session("device")
        assert.strictEqual(yield* device.closed, "the peer ended it: internal error")
      })))

  it.live("takes a new connection of the same device process at once, although the old one seems fine", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        // The operator does not hear that the device hung up.
        yield* world.transport.weather({ blackHole: true })
        yield* Effect.sleep("100 seconds")
        yield* world.transport.weather({ blackHole: false }, "toOperator")
        yield* Effect.sleep("30 seconds")
        yield* world.transport.weather({ blackHole: false })
        yield* Effect.sleep("30 seconds")
        assert.strictEqual(string(yield* operator.request(text("x"))), "x")
        assert.strictEqual(world.admitted.length, 1)
      })))

  it.live("stays with the connection it was resumed on, where the first word of an earlier one comes late", () =>
    Effect.gen(function*() {
      const latch = yield* Latch.make()
      yield* inWorld({
        backup: true,
        acceptors: ([first, ...others]) => first === undefined ? [] : [lateFrame(3, latch)(first), ...others]
      }, (world) =>
        Effect.gen(function*() {
          const device = yield* world.session("device")
          yield* world.transport.refuse("Refused")
          yield* world.transport.cut()
          const operator = yield* world.session("operator")
          assert.strictEqual(operator.id, device.id)
          assert.strictEqual(string(yield* operator.request(text("x"))), "x")
          yield* latch.open
          yield* Effect.sleep("5 seconds")
          assert.strictEqual(operator.method(), "backup")
          assert.strictEqual(yield* world.backup.open, 1)
          assert.strictEqual(string(yield* operator.request(text("y"))), "y")
          assert.lengthOf((yield* world.backup.diary).filter((entry) => entry.endsWith("dialed")), 1)
        }))
    }))

  it.live("says farewell when the device's program ends, and when the operator's does", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* Fiber.interrupt(world.dialing)
        assert.match(yield* operator.closed, /the peer ended it: this side is stopping/)
        yield* Effect.sleep(100)
        assert.deepStrictEqual(yield* world.server.sessions, [])
        yield* Effect.forkChild(world.client.run)
        const device = yield* world.session("device", 2)
        yield* Fiber.interrupt(world.serving)
        assert.match(yield* device.closed, /the peer ended it: this side is stopping/)
      })))

  it.live("leaves no fibers, connections or sessions behind", () =>
    inWorld(
      { device: () => Effect.succeed({ ...echo, onRequest: () => Effect.never }) },
      (world) =>
        Effect.gen(function*() {
          const operator = yield* world.session("operator")
          yield* Effect.forkChild(Effect.exit(operator.request(text("never"))))
          yield* Effect.sleep(100)
          yield* Fiber.interrupt(world.dialing)
          yield* Fiber.interrupt(world.serving)
          yield* Effect.sleep(2_000)
          assert.strictEqual(yield* world.transport.open, 0)
          assert.deepStrictEqual(yield* world.server.sessions, [])
          assert.isTrue(Option.isNone(yield* SubscriptionRef.get(world.client.current)))
        })
    ))
})
