import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Stream } from "effect"
import { LinkError } from "../../../core/link/Session.ts"
import { noise } from "./noise.ts"
import { echo, failure, inWorld, string, text } from "./world.ts"

describe("a session", () => {
  it.live("carries requests both ways", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        const device = yield* world.session("device")
        assert.strictEqual(operator.id, device.id)
        assert.strictEqual(string(yield* operator.request(text("down"))), "down")
        assert.strictEqual(string(yield* device.request(text("up"))), "up")
        assert.strictEqual((yield* device.request(new Uint8Array(0))).length, 0)
      })))

  it.live("carries requests and replies far larger than a window, compressible or not", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        for (
          const message of [
            noise(2_000_000),
            new Uint8Array(2_000_000).fill(7),
            noise(16_384),
            noise(16_352),
            noise(70_000)
          ]
        ) {
          const reply = yield* operator.request(message)
          assert.deepStrictEqual(Buffer.compare(reply, message), 0)
        }
      })))

  it.live("keeps message bounds and order in a channel, and ends it after the data", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        const sent = [text("a"), new Uint8Array(0), noise(100_000), text("b".repeat(5000)), text("z")]
        const got = yield* Effect.scoped(Effect.gen(function*() {
          const channel = yield* operator.open(text("echo"))
          for (const message of sent) yield* channel.send(message)
          yield* channel.end
          return yield* Stream.runCollect(channel.messages)
        }))
        assert.deepStrictEqual(
          got.map((each) => Buffer.from(each).toString("hex")),
          sent.map((each) => Buffer.from(each).toString("hex"))
        )
      })))

  it.live("tells the asker why a handler refused", () =>
    inWorld({
      device: () =>
        Effect.succeed({
          onRequest: () => Effect.fail(new LinkError({ reason: "Refused", detail: "no such pod" })),
          onOpen: (_, channel) =>
            Effect.andThen(
              channel.send(text("partial")),
              Effect.fail(new LinkError({ reason: "Refused", detail: "broke" }))
            )
        })
    }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        const refused = yield* failure(operator.request(text("x")))
        assert.strictEqual(refused.reason, "Refused")
        assert.strictEqual(refused.detail, "no such pod")
        const seen: Array<string> = []
        const broken = yield* failure(Effect.scoped(Effect.gen(function*() {
          const channel = yield* operator.open(text("x"))
          yield* Stream.runForEach(channel.messages, (message) => Effect.sync(() => void seen.push(string(message))))
        })))
        assert.deepStrictEqual(seen, ["partial"])
        assert.strictEqual(broken.message, "Refused: broke")
      })))

  it.live("lets either side fail a channel: the other sees why, its own reader stops", () => {
    const seen: Array<string> = []
    return inWorld({
      device: () =>
        Effect.succeed({
          ...echo,
          onOpen: (_, channel) =>
            Stream.runForEach(channel.messages, (message) => Effect.sync(() => void seen.push(string(message)))).pipe(
              Effect.tapError((error) => Effect.sync(() => void seen.push(error.message)))
            )
        })
    }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* Effect.scoped(Effect.gen(function*() {
          const channel = yield* operator.open(text("x"))
          const reading = yield* Effect.forkChild(failure(Stream.runDrain(channel.messages)))
          yield* channel.send(text("one"))
          yield* channel.fail("the user left")
          assert.strictEqual((yield* Fiber.join(reading)).reason, "Closed")
          assert.strictEqual((yield* failure(channel.send(text("two")))).reason, "Closed")
          yield* Effect.sleep(1000)
        }))
        assert.deepStrictEqual(seen, ["one", "Refused: the user left"])
        assert.strictEqual((yield* world.server.sessions).length, 1)
      }))
  })

  it.live("stops waiting for a reply in time, and the handler learns it", () => {
    let interrupted = 0
    return inWorld({
      device: () =>
        Effect.succeed({
          ...echo,
          onRequest: () => Effect.never.pipe(Effect.onInterrupt(() => Effect.sync(() => void (interrupted += 1))))
        })
    }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        const late = yield* failure(operator.request(text("x"), { timeoutMillis: 2000 }))
        assert.strictEqual(late.message, "Timeout: no reply within 2 s to 1 bytes")
        yield* Effect.sleep(1000)
        assert.strictEqual(interrupted, 1)
      }))
  })

  it.live("gives a long message the time that a thin line takes for it, and says it once", () =>
    inWorld(
      { device: () => Effect.succeed({ ...echo, onRequest: () => Effect.succeed(text("done")) }) },
      (world) =>
        Effect.gen(function*() {
          const operator = yield* world.session("operator")
          yield* world.transport.weather({ bytesPerSecond: 5_000 })
          for (const priority of ["assignment", "command"] as const) {
            const before = (yield* world.transport.traffic).toDevice.bytes
            const reply = yield* operator.request(noise(400_000), { priority, timeoutMillis: 30_000 })
            assert.strictEqual(string(reply), "done")
            assert.isBelow((yield* world.transport.traffic).toDevice.bytes - before, 420_000)
          }
        })
    ))

  it.live("gives it the time beside another one, and over a connection that breaks", () =>
    inWorld(
      { device: () => Effect.succeed({ ...echo, onRequest: () => Effect.succeed(text("done")) }) },
      (world) =>
        Effect.gen(function*() {
          const operator = yield* world.session("operator")
          yield* world.transport.weather({ bytesPerSecond: 600 })
          const before = (yield* world.transport.traffic).toDevice.bytes
          const asking = yield* Effect.forkChild(Effect.all(
            [60_000, 60_000].map((bytes) =>
              operator.request(noise(bytes), { priority: "assignment", timeoutMillis: 40_000 })
            ),
            { concurrency: "unbounded" }
          ))
          for (let breaks = 0; breaks < 2; breaks++) {
            yield* Effect.sleep("50 seconds")
            yield* world.transport.cut()
          }
          assert.deepStrictEqual((yield* Fiber.join(asking)).map(string), ["done", "done"])
          assert.isBelow((yield* world.transport.traffic).toDevice.bytes - before, 300_000)
        })
    ))

  it.live("waits for the reply to a long message no longer than to any other once it has arrived", () =>
    inWorld(
      { device: () => Effect.succeed({ ...echo, onRequest: () => Effect.never }) },
      (world) =>
        Effect.gen(function*() {
          const operator = yield* world.session("operator")
          yield* world.transport.weather({ bytesPerSecond: 5_000 })
          const begun = yield* Clock.currentTimeMillis
          const late = yield* failure(
            operator.request(noise(200_000), { priority: "assignment", timeoutMillis: 30_000 })
          )
          assert.strictEqual(late.message, "Timeout: no reply within 30 s after 200000 of 200000 bytes had arrived")
          assert.approximately((yield* Clock.currentTimeMillis) - begun, 72_000, 4_000)
        })
    ))

  it.live("holds nothing of requests that were given up before there was anybody to answer them", () => {
    const streams: Array<() => number> = []
    return inWorld({
      witness: (usage) => void streams.push(() => usage().streams),
      device: () => Effect.delay(Effect.succeed(echo), "30 seconds")
    }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        for (let times = 0; times < 5; times++) yield* failure(operator.request(text("x"), { timeoutMillis: 1_000 }))
        yield* Effect.sleep("40 seconds")
        assert.strictEqual(string(yield* operator.request(text("now"))), "now")
        yield* Effect.sleep("10 seconds")
        assert.deepStrictEqual(streams.map((held) => held()), [0, 0])
      }))
  })

  it.live("holds nothing of requests that were given up when a part of them had come", () => {
    const streams: Array<() => number> = []
    return inWorld({ witness: (usage) => void streams.push(() => usage().streams) }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* world.transport.weather({ bytesPerSecond: 50_000 })
        for (let times = 0; times < 5; times++) {
          yield* Effect.timeoutOption(operator.request(noise(1_000_000)), 3_000)
        }
        yield* world.transport.weather({ bytesPerSecond: 0 })
        yield* Effect.sleep("1 minute")
        assert.deepStrictEqual(streams.map((held) => held()), [0, 0])
        assert.strictEqual(string(yield* operator.request(text("now"))), "now")
      }))
  })

  it.live("holds nothing of requests that were given up while their answers were leaving", () => {
    const streams: Array<() => number> = []
    return inWorld({
      witness: (usage) => void streams.push(() => usage().streams),
      device: () => Effect.succeed({ ...echo, onRequest: () => Effect.succeed(noise(1_000_000)) })
    }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* world.transport.weather({ bytesPerSecond: 50_000 })
        for (let times = 0; times < 5; times++) yield* failure(operator.request(text("x"), { timeoutMillis: 3_000 }))
        yield* world.transport.weather({ bytesPerSecond: 0 })
        yield* Effect.sleep("1 minute")
        assert.deepStrictEqual(streams.map((held) => held()), [0, 0])
      }))
  })

  it.live("does not leave a handler at work whose request came together with the word that it was given up", () => {
    let atWork = 0
    return inWorld({
      device: () =>
        Effect.succeed({
          ...echo,
          onRequest: () =>
            Effect.suspend(() => {
              atWork += 1
              return Effect.never
            }).pipe(Effect.onInterrupt(() => Effect.sync(() => void (atWork -= 1))))
        })
    }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        for (let times = 0; times < 10; times++) {
          yield* world.transport.weather({ blackHole: true }, "toDevice")
          yield* failure(operator.request(text("x"), { timeoutMillis: 1_000 }))
          yield* world.transport.weather({ blackHole: false }, "toDevice")
          yield* world.transport.cut()
          yield* Effect.sleep("1 minute")
        }
        assert.strictEqual(atWork, 0)
      }))
  })

  it.live("ends both sides of a channel whose scope closes, and interrupts the handler", () => {
    let ended = 0
    return inWorld({
      device: () =>
        Effect.succeed({
          ...echo,
          onOpen: (_, channel) =>
            Stream.runDrain(channel.messages).pipe(
              Effect.andThen(Effect.never),
              Effect.onExit(() => Effect.sync(() => void (ended += 1)))
            )
        })
    }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(operator.open(text("x")), Effect.never)))
        yield* Effect.sleep(1000)
        assert.strictEqual(ended, 0)
        yield* Fiber.interrupt(fiber)
        yield* Effect.sleep(1000)
        assert.strictEqual(ended, 1)
      }))
  })
})
