import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Option, Stream, SubscriptionRef } from "effect"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { Cryptography } from "../../../core/link/Cryptography.ts"
import { decodeFrame } from "../../../core/link/frames.ts"
import { Refused } from "../../../core/link/Hello.ts"
import type { LinkState } from "../../../core/link/LinkClient.ts"
import { deviceKey, inWorld, lateFrame, string, text, type World } from "./world.ts"

const secret = Uint8Array.from({ length: 32 }, () => 5)

/** Why the device waits, or waited last, before it dials again. */
const waiting = (world: World) =>
  SubscriptionRef.changes(world.client.state).pipe(
    Stream.filter((state: LinkState) => state.status === "Waiting"),
    Stream.runHead,
    Effect.map(Option.getOrUndefined)
  )

/** Dials counted in the diary. */
const dials = (world: World) =>
  Effect.map(world.transport.diary, (diary) => diary.filter((entry) => entry.endsWith("dialed")).length)

describe("the handshake", () => {
  it.live("hands the operator what the device says, and the device what the operator says", () =>
    inWorld({
      memory: { epoch: 3, lineage: Uint8Array.of(9) },
      admit: () => Effect.succeed({ epoch: 4, lineage: Uint8Array.of(1, 2) })
    }, (world) =>
      Effect.gen(function*() {
        yield* world.session("device")
        const [live] = yield* world.server.sessions
        assert.strictEqual(live?.hello.device, "edge-1")
        assert.strictEqual(live?.hello.namespace, "default")
        assert.strictEqual(live?.hello.epoch, 3)
        assert.deepStrictEqual([...(live?.hello.lineage ?? [])], [9])
        assert.deepStrictEqual([...(live?.hello.digest ?? [])], [7])
        assert.strictEqual(live?.hello.method, "memory")
        assert.strictEqual(world.memory.epoch, 4)
        assert.deepStrictEqual([...world.memory.lineage], [1, 2])
      })))

  it.live.each([5_000, 8_000])("leads to a session where a round trip takes %i ms", (trip) =>
    inWorld({
      // A call of gRPC reaches the operator a round trip before its first message.
      dialers: (own) =>
        own.map((dialer) => ({ ...dialer, connect: Effect.tap(dialer.connect, () => Effect.sleep(trip / 2)) }))
    }, (world) =>
      Effect.gen(function*() {
        yield* world.transport.weather({ delayMillis: [trip / 2, trip / 2] })
        const operator = yield* Effect.timeout(world.session("operator"), "2 minutes")
        assert.strictEqual(string(yield* operator.request(text("x"))), "x")
      })))

  it.live("is waited for as long as a dial where that may take longer", () =>
    inWorld({
      dialers: (own) => own.map((dialer) => ({ ...dialer, dialTimeoutMillis: 30_000 })),
      challenge: () => Effect.as(Effect.sleep("9 seconds"), { psk: undefined })
    }, (world) =>
      Effect.gen(function*() {
        yield* world.transport.weather({ delayMillis: [3_000, 3_000] }, "toDevice")
        yield* Effect.timeout(world.session("operator"), "2 minutes")
      })))

  it.live("shows a listener neither names nor messages", () =>
    inWorld({ transport: { record: true } }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* operator.request(text("a well known secret"))
        for (const direction of ["toOperator", "toDevice"] as const) {
          for (const frame of yield* world.transport.recorded(direction)) {
            for (const word of ["edge-1", "default", "journal", "secret", "memory"]) {
              assert.isFalse(Buffer.from(frame).includes(word), word)
            }
          }
        }
      })))

  it.live("lets a replayed conversation have no effect", () =>
    inWorld({ transport: { record: true } }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        assert.strictEqual(string(yield* operator.request(text("x"))), "x")
        const recorded = yield* world.transport.recorded("toOperator")
        yield* Effect.scoped(Effect.gen(function*() {
          const connection = yield* world.transport.connect
          for (const frame of recorded) yield* connection.send(frame)
          // The operator answers the first message, and waits for something fresh.
          const answered = decodeFrame(yield* connection.receive)
          assert.isAbove(answered?.answer.length ?? 0, 0)
          yield* Effect.sleep("12 seconds")
        }))
        assert.strictEqual(world.admitted.length, 1)
        assert.strictEqual(world.sessions.operator.length, 1)
        assert.isTrue(yield* SubscriptionRef.get(operator.connected))
        assert.strictEqual(string(yield* operator.request(text("y"))), "y")
      })))

  it.live("is not even begun with a device at another's place, and goes on there with the one that belongs", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const challenged: Array<string> = []
      let open = false
      yield* inWorld({
        timings: { handshakeTimeoutMillis: 300, handshakeResendMillis: 100 },
        admits: ({ device, namespace }) =>
          Effect.sync(() => {
            asked.push(`${namespace}/${device}`)
            return open
          }),
        challenge: ({ device }) =>
          Effect.sync(() => {
            challenged.push(device)
            return { psk: undefined }
          })
      }, (world) =>
        Effect.gen(function*() {
          const state = yield* waiting(world)
          assert.strictEqual(state?.status === "Waiting" ? state.error._tag : "", "HandshakeFailed")
          assert.include(asked, "default/edge-1")
          assert.deepStrictEqual(challenged, [], "it was not even asked who it is")
          open = true
          yield* world.session("device")
        }))
    }))

  it.live("works with the enrolment key while the device is not pinned, and not with another", () =>
    Effect.gen(function*() {
      const challenge = () => Effect.succeed({ psk: secret })
      yield* inWorld({ challenge, psk: secret }, (world) => world.session("operator"))
      yield* inWorld({ challenge, psk: new Uint8Array(32).fill(6) }, (world) =>
        Effect.gen(function*() {
          yield* Effect.sleep("1 minute")
          assert.strictEqual(world.admitted.length, 0)
          const { error } = (yield* waiting(world)) ?? assert.fail("it is not waiting")
          assert.match(error.message, /WrongOperator.*enrolment key/)
        }))
    }))

  it.live("does not talk to an operator with another key", () =>
    Effect.gen(function*() {
      const cryptography = yield* Cryptography
      yield* inWorld({ operatorPublic: cryptography.x25519Public(new Uint8Array(32).fill(77)) }, (world) =>
        Effect.gen(function*() {
          yield* Effect.sleep("1 minute")
          assert.strictEqual(world.admitted.length, 0)
          assert.match((yield* waiting(world))?.error.message ?? "", /NoAnswer.*public key/)
        }))
    }).pipe(Effect.provide(NodeCryptography.layer)))

  it.live("tells a device of an unknown key or name, under encryption, and the device tries again slowly", () =>
    inWorld({
      transport: { record: true },
      challenge: ({ device, publicKey }) =>
        Effect.fail(
          new Refused({
            code: "WrongKey",
            detail: `${device} is pinned to a key other than one of ${publicKey.length} bytes`
          })
        )
    }, (world) =>
      Effect.gen(function*() {
        yield* Effect.sleep("2 minutes")
        const { error } = (yield* waiting(world)) ?? assert.fail("it is not waiting")
        assert.strictEqual(error.message, "WrongKey: edge-1 is pinned to a key other than one of 32 bytes")
        assert.strictEqual(yield* dials(world), 1)
        for (const frame of yield* world.transport.recorded("toDevice")) {
          assert.isFalse(Buffer.from(frame).includes("pinned"))
        }
        yield* Effect.sleep("1 hour")
        assert.isAbove(yield* dials(world), 10)
        assert.isBelow(yield* dials(world), 25)
      })))

  it.live("lets Admission refuse a second device of the same identity while the first is live", () =>
    inWorld({
      admit: (_, __, live) =>
        live === undefined
          ? Effect.succeed({ epoch: 1, lineage: Uint8Array.of(1) })
          : Effect.fail(new Refused({ code: "DuplicateIdentity", detail: `${live.journalId} is live` }))
    }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        const other = yield* world.makeClient()
        yield* Effect.forkChild(other.run)
        yield* Effect.sleep("1 minute")
        const state = yield* SubscriptionRef.get(other.state)
        assert.strictEqual(
          state.status === "Waiting" ? state.error.message : state.status,
          "DuplicateIdentity: journal is live"
        )
        assert.isTrue(yield* SubscriptionRef.get(operator.connected))
        assert.strictEqual(world.admitted.length, 2)
      })))

  it.live.each(["hangs up", "is not heard of any more"])(
    "is no longer decided about once the device %s",
    (how) =>
      Effect.gen(function*() {
        let asked = 0
        let given = 0
        yield* inWorld({
          limits: { handshakes: 1 },
          admit: () =>
            ++asked === 1
              ? Effect.onInterrupt(Effect.never, () => Effect.sync(() => given++))
              : Effect.succeed({ epoch: 1, lineage: Uint8Array.of(1) })
        }, (world) =>
          Effect.gen(function*() {
            yield* Effect.sleep("5 seconds")
            assert.strictEqual(given, 0, "it still waits, and says so")
            if (how === "hangs up") yield* Effect.sleep("5 seconds")
            else {
              yield* world.transport.weather({ blackHole: true })
              yield* Effect.sleep("10 seconds")
              yield* world.transport.weather({ blackHole: false })
            }
            assert.strictEqual(given, 1)
            yield* Effect.timeout(world.session("operator"), "5 seconds")
            assert.strictEqual(asked, 2)
          }))
      })
  )

  it.live("has no effect where its hello comes after a session that the device began by another method", () =>
    Effect.gen(function*() {
      const latch = yield* Latch.make()
      yield* inWorld({
        backup: true,
        acceptors: ([first, ...others]) => first === undefined ? [] : [lateFrame(2, latch)(first), ...others]
      }, (world) =>
        Effect.gen(function*() {
          yield* Effect.sleep("1 second")
          assert.lengthOf(world.admitted, 0)
          yield* world.transport.refuse("Refused")
          yield* world.transport.cut()
          const operator = yield* world.session("operator")
          assert.strictEqual(string(yield* operator.request(text("x"))), "x")
          yield* latch.open
          yield* Effect.sleep("20 seconds")
          assert.lengthOf(world.admitted, 1)
          assert.isTrue(yield* SubscriptionRef.get(operator.connected))
          assert.strictEqual(string(yield* operator.request(text("y"))), "y")
          assert.lengthOf(world.sessions.operator, 1)
        }))
    }))

  it.live("ends the former session when Admission lets another process of the device take over", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* world.transport.weather({ blackHole: true })
        yield* Fiber.interrupt(world.dialing)
        yield* world.transport.weather({ blackHole: false })
        const restarted = yield* world.makeClient()
        yield* Effect.forkChild(restarted.run)
        const next = yield* world.session("operator", 2)
        assert.strictEqual(yield* operator.closed, "the device began a new session")
        assert.strictEqual(string(yield* next.request(text("hello"))), "hello")
        assert.strictEqual((yield* world.server.sessions).length, 1)
        assert.strictEqual(world.admitted[1]?.live?.instance, world.admitted[0]?.hello.instance)
      })))

  it.live("is refused by the device where the operator's epoch is lower than one it obeyed", () =>
    inWorld({
      memory: { epoch: 8, lineage: Uint8Array.of(1) },
      admit: () => Effect.succeed({ epoch: 7, lineage: Uint8Array.of(2) })
    }, (world) =>
      Effect.gen(function*() {
        yield* Effect.sleep("3 seconds")
        const { error } = (yield* waiting(world)) ?? assert.fail("it is not waiting")
        assert.match(error.message, /LowerEpoch.*7 is lower than 8/)
        assert.deepStrictEqual(world.saved, [])
        assert.strictEqual(world.sessions.operator.length, 0)
        assert.strictEqual(world.sessions.device.length, 0)
        assert.isTrue(Option.isNone(yield* SubscriptionRef.get(world.client.current)))
      })))

  it.live("is refused by the device, which keeps its token, where it comes without one", () =>
    inWorld({
      memory: { epoch: 1, lineage: Uint8Array.of(1) },
      admit: () => Effect.succeed({ epoch: 1, lineage: new Uint8Array(0) })
    }, (world) =>
      Effect.gen(function*() {
        yield* Effect.sleep("3 seconds")
        const { error } = (yield* waiting(world)) ?? assert.fail("it is not waiting")
        assert.match(error.message, /Malformed.*no lineage token/)
        assert.deepStrictEqual(world.memory, { epoch: 1, lineage: Uint8Array.of(1) })
        assert.lengthOf(world.sessions.device, 0)
      })))

  it.live("refuses a device that speaks no version the operator does", () =>
    inWorld(
      { admit: (hello) => Effect.fail(new Refused({ code: "ProtocolVersion", detail: `${hello.protocolMax}` })) },
      (world) =>
        Effect.gen(function*() {
          yield* Effect.sleep("30 seconds")
          assert.strictEqual((yield* waiting(world))?.error.message, "ProtocolVersion: 1")
        })
    ))

  it.live("backs off to 30 seconds, after ten minutes to five, always with jitter", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        yield* world.session("device")
        yield* world.transport.refuse("Refused")
        yield* world.transport.cut()
        const count = Effect.map(world.transport.diary, (diary) =>
          diary.filter((entry) => entry.endsWith("refused")).length)
        yield* Effect.sleep("10 minutes")
        const early = yield* count
        // Every 15 seconds on average once the cap is reached.
        assert.isAtLeast(early, 30)
        assert.isAtMost(early, 65)
        yield* Effect.sleep("100 minutes")
        assert.isAtLeast((yield* count) - early, 25)
        assert.isAtMost((yield* count) - early, 65)
        yield* world.transport.refuse(undefined)
        yield* world.session("device", 2)
      })))

  it.live("gives up on a connection that does not get to the point", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        yield* world.session("device")
        const ended = (
          what: (send: (frame: Uint8Array) => Effect.Effect<void, unknown>) => Effect.Effect<void, unknown>
        ) =>
          Effect.scoped(Effect.gen(function*() {
            const connection = yield* world.transport.connect
            yield* Effect.exit(what(connection.send))
            return yield* Effect.flip(connection.receive).pipe(Effect.timeout("11 seconds"))
          }))
        assert.strictEqual((yield* ended(() => Effect.void))._tag, "TransportError")
        assert.strictEqual((yield* ended((send) => send(new Uint8Array(5000))))._tag, "TransportError")
        assert.strictEqual(
          (yield* ended((send) =>
            Effect.forEach(Array.from({ length: 40 }), () => send(text("noise")), { discard: true })
          ))._tag,
          "TransportError"
        )
        assert.strictEqual(deviceKey.length, 32)
      })))
})
