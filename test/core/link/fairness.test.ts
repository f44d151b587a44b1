import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Option, Stream } from "effect"
import type { LinkUsage } from "../../../core/link/LinkUsage.ts"
import type { LinkError, Session } from "../../../core/link/Session.ts"
import { noise } from "./noise.ts"
import { echo, failure, inWorld, string, text } from "./world.ts"

const mebibyte = 1024 * 1024

const elapsed = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const before = yield* Clock.currentTimeMillis
    yield* effect
    return (yield* Clock.currentTimeMillis) - before
  })

/** Channels named `stuck` are never read; others are swallowed. */
const device = () =>
  Effect.succeed({
    ...echo,
    onOpen: (message: Uint8Array, channel: Parameters<typeof echo.onOpen>[1]) =>
      string(message) === "stuck" ? Effect.never : Stream.runDrain(channel.messages)
  })

describe("many things on one session", () => {
  it.live("lets commands pass a flood of bulk within the queueing time, on a slow line", () =>
    inWorld({ device }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* world.transport.weather({ delayMillis: [25, 25], bytesPerSecond: 50_000 })
        const stream = Effect.scoped(Effect.gen(function*() {
          const channel = yield* operator.open(text("sink"), { priority: "bulk" })
          for (let sent = 0; sent < 60; sent++) yield* channel.send(noise(32_000, sent + 1))
        }))
        const flood = yield* Effect.forkChild(Effect.all(Array.from({ length: 8 }, () => stream), { concurrency: 8 }))
        yield* Effect.sleep("5 seconds")
        for (let asked = 0; asked < 10; asked++) {
          const took = yield* elapsed(operator.request(noise(200)))
          // Two trips of 25 ms, and behind no more than 250 ms of bulk, or 16 KiB and one chunk.
          assert.isBelow(took, 800, `request ${asked} took ${took} ms`)
          yield* Effect.sleep(300)
        }
        assert.isUndefined(flood.pollUnsafe())
        // The line is full all the same.
        const before = (yield* world.transport.traffic).toDevice.bytes
        yield* Effect.sleep("10 seconds")
        assert.isAbove((yield* world.transport.traffic).toDevice.bytes - before, 400_000)
        yield* Fiber.interrupt(flood)
      })))

  it.live("fills a long and fast line", () =>
    inWorld({ device }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* world.transport.weather({ delayMillis: [150, 150], bytesPerSecond: 2_000_000 })
        const took = yield* elapsed(Effect.scoped(Effect.gen(function*() {
          const channel = yield* operator.open(text("sink"), { priority: "bulk" })
          for (let sent = 0; sent < 600; sent++) yield* channel.send(noise(32_000, sent + 1))
        })))
        // 19 MB need 9.6 s at the line's rate; the window starts at 16 KiB and grows.
        assert.isBelow(took, 20_000)
      })))

  it.live("grants a reader that keeps up more at a time, however its messages are packed", () =>
    inWorld({ device }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* world.transport.weather({ delayMillis: [2, 2], bytesPerSecond: 20_000_000 })
        const before = (yield* world.transport.traffic).toOperator.frames
        const took = yield* elapsed(Effect.scoped(Effect.gen(function*() {
          const channel = yield* operator.open(text("sink"))
          for (let sent = 0; sent < 1200; sent++) yield* channel.send(noise(16_320, sent % 7))
          yield* channel.end
          yield* Stream.runDrain(channel.messages)
        })))
        // 20 MB need 1 s at the line's rate; by the window a stream begins with they would take 2.6 s, and a credit for every second message.
        assert.isBelow(took, 1_500)
        assert.isBelow((yield* world.transport.traffic).toOperator.frames - before, 400)
      })))

  it.live("lets one stream grow to a megabyte, and all together no further than large messages still fit", () => {
    const pools: Array<() => LinkUsage> = []
    const side = () =>
      Effect.map(device(), (handlers) => ({ ...handlers, onRequest: () => Effect.succeed(text("done")) }))
    return inWorld(
      { device: side, operator: side, witness: (usage) => void pools.push(usage) },
      (world) =>
        Effect.gen(function*() {
          const operator = yield* world.session("operator")
          const devices = yield* world.session("device")
          yield* world.transport.weather({ delayMillis: [2, 2], bytesPerSecond: 20_000_000 })
          const granted = () => Math.min(...pools.map((usage) => usage().granted))
          /** A stream that was quick, and then says nothing. */
          const quick = (session: Session) =>
            Effect.gen(function*() {
              const channel = yield* session.open(text("sink"))
              for (let sent = 0; sent < 400; sent++) yield* channel.send(noise(16_320, sent % 7))
            })
          yield* quick(operator)
          yield* quick(devices)
          assert.isAtLeast(granted(), mebibyte)
          for (let opened = 0; opened < 4; opened++) yield* Effect.all([quick(operator), quick(devices)])
          assert.isAtLeast(granted(), 1.25 * mebibyte, "what is left is for others to grow")
          yield* Effect.sleep("10 seconds")
          // The largest command; as much as a device says at once.
          for (const [session, bytes] of [[operator, 4 * mebibyte - 32], [devices, 256 * 1024]] as const) {
            const took = yield* elapsed(session.request(noise(bytes)))
            assert.isBelow(took, 1_000, `${bytes} bytes took ${took} ms`)
          }
        }).pipe(Effect.scoped)
    )
  })

  it.live("does not let a reader that stopped reading hold up another", () =>
    inWorld({ device }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        const stuck = yield* Effect.forkChild(Effect.scoped(Effect.gen(function*() {
          const channel = yield* operator.open(text("stuck"), { priority: "bulk" })
          return yield* Effect.forever(channel.send(noise(10_000)))
        })))
        yield* Effect.sleep(1000)
        const sent = (yield* world.transport.traffic).toDevice.bytes
        assert.isBelow(sent, 25_000, "no more left than the window, and the message that did not fit")
        yield* Effect.scoped(Effect.gen(function*() {
          const channel = yield* operator.open(text("sink"), { priority: "bulk" })
          for (let number = 0; number < 100; number++) yield* channel.send(noise(10_000))
          yield* channel.end
          yield* Stream.runDrain(channel.messages)
        }))
        assert.isAbove((yield* world.transport.traffic).toDevice.bytes, 1_000_000)
        assert.isUndefined(stuck.pollUnsafe())
        yield* Fiber.interrupt(stuck)
      })))

  it.live.each(["agentPool", "operatorPool"] as const)(
    "opens no more channels than leave memory of the %s for commands and reports, and more when some end",
    (scarce) =>
      inWorld(
        { device, limits: { agentPool: 8 * mebibyte, operatorPool: 8 * mebibyte, [scarce]: 4 * mebibyte } },
        (world) =>
          Effect.gen(function*() {
            const operator = yield* world.session("operator")
            const devices = yield* world.session("device")
            const hold = Effect.scoped(Effect.gen(function*() {
              const channel = yield* operator.open(text("stuck"))
              yield* Stream.runDrain(channel.messages)
            }))
            const held = yield* Effect.forEach(Array.from({ length: 204 }), () => Effect.forkChild(hold))
            yield* Effect.sleep(100)
            const refused = yield* Effect.timeoutOption(Effect.flip(hold), "1 second")
            assert.strictEqual(Option.getOrUndefined(refused)?.reason, "Overloaded")
            assert.isTrue(held.every((fiber) => fiber.pollUnsafe() === undefined))
            // As much as either says at once where many channels are open, and others beside it.
            for (const session of [operator, devices]) {
              const others = yield* Effect.forEach(
                [1, 2, 3],
                (seed) => Effect.forkChild(session.request(noise(16_000, seed)), { startImmediately: true })
              )
              const took = yield* elapsed(session.request(noise(256 * 1024)))
              assert.isBelow(took, 1_000)
              for (const other of others) assert.lengthOf(yield* Fiber.join(other), 16_000)
            }
            const [first] = held
            if (first !== undefined) yield* Fiber.interrupt(first)
            yield* Effect.sleep(100)
            const again = yield* Effect.forkChild(hold)
            yield* Effect.sleep(100)
            assert.isUndefined(again.pollUnsafe())
          })
      )
  )

  it.live("answers requests as long as there is memory for one, and then as soon as there is", () =>
    inWorld({
      device: () => Effect.succeed({ ...echo, onRequest: (message) => Effect.delay(Effect.succeed(message), 1_000) }),
      limits: { agentPool: 64 * 1024 }
    }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        const four = yield* Effect.forEach(
          [1, 2, 3, 4],
          (seed) => Effect.forkChild(operator.request(noise(100, seed)), { startImmediately: true })
        )
        yield* Effect.sleep(100)
        assert.strictEqual((yield* failure(operator.request(text("x")))).reason, "Overloaded")
        for (const one of four) assert.lengthOf(yield* Fiber.join(one), 100)
        assert.strictEqual(string(yield* operator.request(text("x"))), "x")
      })))

  it.live("refuses what is larger than a message may be before it has come", () =>
    inWorld({ limits: { agentPool: 512 * 1024 } }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        const before = (yield* world.transport.traffic).toDevice.bytes
        assert.strictEqual((yield* failure(operator.request(noise(1_000_000)))).reason, "TooLarge")
        assert.isBelow((yield* world.transport.traffic).toDevice.bytes - before, 40_000)
        // Small on the wire, too large once inflated.
        assert.strictEqual((yield* failure(operator.request(new Uint8Array(1_000_000)))).reason, "TooLarge")
        assert.strictEqual((yield* operator.request(noise(150_000))).length, 150_000)
      })))

  it.live("makes large messages wait for memory in turn instead of failing", () =>
    inWorld({
      limits: { agentPool: 1536 * 1024 },
      device: () => Effect.succeed({ ...echo, onRequest: () => Effect.as(Effect.sleep(1000), text("done")) })
    }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        const replies = yield* Effect.forEach(
          Array.from({ length: 8 }),
          () => operator.request(noise(500_000)),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(replies.map(string), Array.from({ length: 8 }, () => "done"))
      })))

  it.live("works on a bounded number of requests at a time, in order of arrival", () => {
    let running = 0
    let most = 0
    const order: Array<string> = []
    return inWorld({
      limits: { concurrentRequests: 3 },
      device: () =>
        Effect.succeed({
          ...echo,
          onRequest: (message) =>
            Effect.gen(function*() {
              order.push(string(message))
              most = Math.max(most, ++running)
              yield* Effect.sleep(100)
              running -= 1
              return message
            })
        })
    }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        const names = Array.from({ length: 20 }, (_, index) => `${index}`)
        for (const name of names) yield* Effect.forkChild(operator.request(text(name)), { startImmediately: true })
        yield* Effect.sleep("5 seconds")
        assert.strictEqual(most, 3)
        assert.deepStrictEqual(order, names)
      }))
  })

  it.live("gives the error of a handler's defect a name, not its content", () =>
    inWorld(
      { device: () => Effect.succeed({ ...echo, onRequest: () => Effect.die(new Error("password hunter2")) }) },
      (world) =>
        Effect.gen(function*() {
          const operator = yield* world.session("operator")
          const error: LinkError = yield* failure(operator.request(text("x")))
          assert.strictEqual(error.message, "Refused: internal error")
        })
    ))
})
