/** What every transport must do, run against the one in memory and against each real adapter. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Queue, Scope } from "effect"
import type { Acceptor, Connection, Dialer, TransportError } from "../../core/link/Transport.ts"
import { linkContract } from "./link.ts"

export interface TransportUnderTest {
  readonly dialer: Dialer
  readonly acceptor: Acceptor
  /** A dialer that reaches nobody, or nobody who listens. */
  readonly nowhere: Dialer
}

export interface TransportContract {
  readonly name: string
  /** A fresh transport whose acceptor is not running yet; the scope ends whatever it needs. */
  readonly make: Effect.Effect<TransportUnderTest, TransportError, Scope.Scope>
  /** Why megabytes would take minutes on it: they are not tried. */
  readonly slow?: string
}

const frame = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, index) => (index * 31 + seed * 17) % 251)

const patience = "20 seconds"

/** Listens in the scope, and hands over each connection; serving one ends when `release` is called. */
const listen = (acceptor: Acceptor) =>
  Effect.gen(function*() {
    const accepted = yield* Queue.unbounded<
      { readonly connection: Connection; readonly release: Effect.Effect<void> }
    >()
    const listening = yield* Effect.forkScoped(acceptor.run((connection) =>
      Effect.gen(function*() {
        const done = yield* Deferred.make<void>()
        yield* Queue.offer(accepted, { connection, release: Effect.asVoid(Deferred.succeed(done, undefined)) })
        yield* Deferred.await(done)
      })
    ))
    return { next: Effect.timeout(Queue.take(accepted), patience), listening }
  })

/** The listener may need a moment; a device dials again as well. */
const dial = (dialer: Dialer) =>
  Effect.gen(function*() {
    for (let tries = 0;; tries++) {
      const dialed = yield* Effect.exit(dialer.connect)
      if (Exit.isSuccess(dialed) || tries === 50) return yield* dialed
      yield* Effect.sleep(100)
    }
  })

const pair = (transport: TransportUnderTest) =>
  Effect.gen(function*() {
    const listener = yield* listen(transport.acceptor)
    const scope = yield* Scope.fork(yield* Effect.scope)
    const device = yield* dial(transport.dialer).pipe(Scope.provide(scope))
    // Some transports show a connection to the acceptor only with its first frame.
    yield* device.send(Uint8Array.of(1, 2, 3))
    const { connection: operator, release } = yield* listener.next
    assert.deepStrictEqual([...(yield* Effect.timeout(operator.receive, patience))], [1, 2, 3])
    return { device, operator, release, hangUp: Scope.close(scope, Exit.void), ...listener }
  })

export const transportContract = ({ make, name, slow }: TransportContract) => {
  const check = (what: string, body: (transport: TransportUnderTest) => Effect.Effect<void, unknown, Scope.Scope>) =>
    it.live(what, () => Effect.scoped(Effect.flatMap(make, body)).pipe(Effect.timeout("50 seconds")))

  describe(`the ${name} transport`, () => {
    check("carries frames of every size up to its limit, both ways, unchanged", (transport) =>
      Effect.gen(function*() {
        const { device, operator } = yield* pair(transport)
        assert.isAtLeast(device.maxFrame, 4096)
        assert.strictEqual(device.maxFrame, operator.maxFrame)
        const sizes = [1, 2, 100, 1000, 4096, Math.min(device.maxFrame, 64 * 1024), device.maxFrame]
        for (const [from, to] of [[device, operator], [operator, device]] as const) {
          for (const [seed, size] of sizes.entries()) {
            const sent = frame(size, seed)
            yield* from.send(sent)
            assert.strictEqual(Buffer.compare(yield* Effect.timeout(to.receive, patience), sent), 0)
          }
        }
      }))

    check("keeps the order of many frames while both sides send", (transport) =>
      Effect.gen(function*() {
        const { device, operator } = yield* pair(transport)
        const count = 2000
        const send = (connection: Connection) =>
          Effect.forEach(Array.from({ length: count }, (_, index) => index), (index) =>
            connection.send(Uint8Array.of(index >>> 8, index & 255)), { discard: true })
        const receive = (connection: Connection) =>
          Effect.gen(function*() {
            for (let index = 0; index < count; index++) {
              const [high = 0, low = 0] = yield* connection.receive
              assert.strictEqual(high * 256 + low, index)
            }
          })
        yield* Effect.all([send(device), send(operator), receive(device), receive(operator)], {
          concurrency: "unbounded"
        })
      }))

    check(
      "makes a sender wait for a receiver that does not take, without losing a frame",
      (transport) =>
        Effect.gen(function*() {
          if (slow !== undefined) return console.warn(`SKIPPED on ${name}: a receiver that does not take: ${slow}`)
          const { device, operator } = yield* pair(transport)
          const size = Math.min(device.maxFrame, 64 * 1024)
          const count = Math.ceil(32 * 1024 * 1024 / size)
          const body = frame(size, 7)
          /** Told apart by its first two bytes. */
          const numbered = (index: number) => {
            const copy = body.slice()
            copy.set([index >>> 8, index & 255])
            return copy
          }
          const sending = yield* Effect.forkScoped(
            Effect.forEach(
              Array.from({ length: count }, (_, index) => index),
              (index) => operator.send(numbered(index)),
              { discard: true }
            )
          )
          yield* Effect.sleep(Duration.millis(500))
          assert.isUndefined(sending.pollUnsafe(), "32 MiB cannot be on their way")
          for (let index = 0; index < count; index++) {
            const got = yield* Effect.timeout(device.receive, patience)
            assert.strictEqual(Buffer.compare(got, numbered(index)), 0)
          }
          yield* Fiber.join(sending)
        })
    )

    check("tells the operator when the device hangs up, after what it sent", (transport) =>
      Effect.gen(function*() {
        const { device, hangUp, operator } = yield* pair(transport)
        yield* device.send(frame(500, 9))
        assert.strictEqual((yield* Effect.timeout(operator.receive, patience)).length, 500)
        yield* hangUp
        const error = yield* Effect.flip(Effect.timeout(Effect.forever(operator.receive), patience))
        assert.strictEqual(error._tag === "TransportError" ? error.reason : error._tag, "Lost")
        const sending = yield* Effect.flip(Effect.timeout(Effect.forever(operator.send(frame(10, 1))), patience))
        assert.strictEqual(sending._tag === "TransportError" ? sending.reason : sending._tag, "Lost")
      }))

    check("tells the device when the operator is done with it", (transport) =>
      Effect.gen(function*() {
        const { device, release } = yield* pair(transport)
        yield* release
        const error = yield* Effect.flip(Effect.timeout(Effect.forever(device.receive), patience))
        assert.strictEqual(error._tag === "TransportError" ? error.reason : error._tag, "Lost")
      }))

    check(
      "tells devices when the operator stops listening, and its serving ends",
      (transport) =>
        Effect.gen(function*() {
          const { device, listening } = yield* pair(transport)
          yield* Effect.timeout(Fiber.interrupt(listening), patience)
          const error = yield* Effect.flip(Effect.timeout(Effect.forever(device.receive), patience))
          assert.strictEqual(error._tag === "TransportError" ? error.reason : error._tag, "Lost")
        })
    )

    check("keeps many connections apart", (transport) =>
      Effect.gen(function*() {
        const { next } = yield* listen(transport.acceptor)
        const devices = yield* Effect.forEach(Array.from({ length: 20 }, (_, index) => index), (index) =>
          Effect.gen(function*() {
            const device = yield* dial(transport.dialer)
            yield* device.send(Uint8Array.of(index))
            return device
          }), { concurrency: 5 })
        for (let count = 0; count < devices.length; count++) {
          const { connection, release } = yield* next
          yield* Effect.addFinalizer(() =>
            release
          )
          const [index = 0] = yield* Effect.timeout(connection.receive, patience)
          yield* connection.send(Uint8Array.of(index, 42))
        }
        for (const [index, device] of devices.entries()) {
          assert.deepStrictEqual([...(yield* Effect.timeout(device.receive, patience))], [index, 42])
        }
      }))

    check("can be dialed again and again, leaving nothing", (transport) =>
      Effect.gen(function*() {
        const { next } = yield* listen(transport.acceptor)
        for (let round = 0; round < 20; round++) {
          yield* Effect.scoped(Effect.gen(function*() {
            const device = yield* dial(transport.dialer)
            yield* device.send(Uint8Array.of(round))
            const { connection, release } = yield* next
            assert.deepStrictEqual([...(yield* Effect.timeout(connection.receive, patience))], [round])
            yield* release
          }))
        }
      }))

    check("says Refused where nobody listens", (transport) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.timeout(Effect.scoped(transport.nowhere.connect), "40 seconds"))
        assert.strictEqual(error._tag === "TransportError" ? error.reason : error._tag, "Refused")
      }))

    check("lets go of a wait for a frame", (transport) =>
      Effect.gen(function*() {
        const { device, operator } = yield* pair(transport)
        const waiting = yield* Effect.forkScoped(device.receive)
        yield* Effect.sleep(50)
        yield* Effect.timeout(Fiber.interrupt(waiting), patience)
        yield* operator.send(Uint8Array.of(7))
        assert.deepStrictEqual([...(yield* Effect.timeout(device.receive, patience))], [7])
      }))
  })

  linkContract({ name, make })
}
