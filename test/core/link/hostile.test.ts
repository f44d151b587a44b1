import { create, toBinary } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Random, Stream } from "effect"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import {
  ErrorCode,
  Kind,
  type Packet,
  PacketSchema,
  Priority,
  type Segment,
  SegmentSchema
} from "../../../core/gen/aranya/link/v1/link_pb.ts"
import { Cryptography } from "../../../core/link/Cryptography.ts"
import { decodeFrame, decodePacket } from "../../../core/link/frames.ts"
import { greet, protocolMax, protocolMin } from "../../../core/link/handshake.ts"
import { defaultLimits } from "../../../core/link/LinkLimits.ts"
import { type LinkUsage, mostUsage } from "../../../core/link/LinkUsage.ts"
import { ReplayWindow } from "../../../core/link/ReplayWindow.ts"
import { Sealing } from "../../../core/link/Sealing.ts"
import { SeededSecureRandom } from "../../fakes/SeededSecureRandom.ts"
import { deviceKey, inWorld, operatorKey, string, text, type World } from "./world.ts"

/** A device that speaks by hand, after an honest handshake. */
const impostor = (
  world: World,
  { instance, resume }: {
    readonly instance?: string
    readonly resume?: { readonly session: Uint8Array; readonly received: number }
  } = {}
) =>
  Effect.gen(function*() {
    const cryptography = yield* Cryptography
    const connection = yield* world.transport.connect
    const { sealing } = yield* greet(
      connection,
      {
        namespace: "default",
        device: "rogue",
        privateKey: deviceKey,
        operatorPublic: cryptography.x25519Public(operatorKey)
      },
      {
        namespace: "default",
        device: "rogue",
        protocolMin,
        protocolMax,
        agentVersion: "",
        journalId: "j",
        bootId: "b",
        instance: instance ?? `${yield* Random.next}`,
        epoch: 0,
        lineage: new Uint8Array(0),
        method: "memory",
        digest: new Uint8Array(0),
        capabilities: []
      },
      resume,
      connection.maxFrame
    )
    yield* connection.send(sealing.seal(create(PacketSchema)))
    return { connection, sealing }
  }).pipe(Effect.provide([NodeCryptography.layer, SeededSecureRandom.layer]))

const int = (most: number) => Random.nextIntBetween(0, most)

/** A packet of mostly sensible fields with mostly foolish values. */
const foolish = (next = 1) =>
  Effect.gen(function*() {
    const wide = Effect.map(Random.next, (chance) => chance < 0.1 ? 2n ** 64n - 1n : BigInt(Math.floor(chance * 40)))
    const segments = []
    for (let count = yield* int(4); count > 0; count--) {
      segments.push(create(SegmentSchema, {
        stream: (yield* Random.next) < 0.9 ? yield* int(12) : 2 ** 32 - 1,
        kind: (yield* int(7)) as Kind,
        data: new Uint8Array(yield* int(300)),
        more: (yield* Random.next) < 0.3,
        length: (yield* Random.next) < 0.5 ? yield* int(400) : 2 ** 32 - 1,
        inflated: (yield* Random.next) < 0.7 ? 0 : 2 ** (yield* int(32)) - 1,
        credit: yield* wide,
        priority: (yield* int(9)) as Priority,
        error: (yield* int(9)) as ErrorCode,
        detail: "x".repeat(yield* int(50))
      }))
    }
    return create(PacketSchema, {
      ack: (yield* Random.next) < 0.8 ? 0n : yield* wide,
      held: (yield* Random.next) < 0.8 ? 0n : yield* wide,
      beat: (yield* Random.next) < 0.1,
      sequence: (yield* Random.next) < 0.8 ? BigInt(next) : yield* wide,
      segments
    })
  })

describe("bytes from outside", () => {
  it.effect("decode to a frame or packet, or to nothing, whatever they are", () =>
    Effect.gen(function*() {
      const whole = toBinary(PacketSchema, yield* foolish())
      for (let round = 0; round < 10_000; round++) {
        const bytes = (yield* Random.next) < 0.5
          ? Uint8Array.from({ length: yield* int(200) }, () => Math.floor(round * 7919 % 256))
          : whole.slice(0, yield* int(whole.length))
        for (let touched = yield* int(4); touched > 0 && bytes.length > 0; touched--) {
          bytes[yield* int(bytes.length - 1)] = yield* int(255)
        }
        decodeFrame(bytes)
        decodePacket(bytes)
      }
      // Groups nested as deep as a frame can hold.
      assert.isUndefined(decodeFrame(new Uint8Array(200_000).fill(0x0b)))
    }).pipe(Random.withSeed(1)))

  it.effect("open only as sealed, once", () =>
    Effect.gen(function*() {
      const cryptography = yield* Cryptography
      const one = new Uint8Array(32).fill(1)
      const two = new Uint8Array(32).fill(2)
      const keys = { send: one, receive: two, hash: one }
      const sender = new Sealing(cryptography, keys)
      const receiver = new Sealing(cryptography, { send: two, receive: one, hash: one })
      const packet: Packet = create(PacketSchema, { ack: 5n })
      const frames = Array.from({ length: 300 }, () => sender.seal(packet))
      const open = (bytes: Uint8Array | undefined) => {
        const frame = bytes && decodeFrame(bytes)
        return frame && receiver.open(frame)
      }
      assert.strictEqual(open(frames[7])?.ack, 5n)
      assert.isUndefined(open(frames[7]))
      assert.strictEqual(open(frames[3])?.ack, 5n)
      const again: Array<Packet> = []
      for (let round = 0; round < 10_000; round++) {
        const touched = (frames[yield* Random.nextIntBetween(10, 299)] ?? new Uint8Array(1)).slice()
        const at = yield* int(touched.length - 1)
        touched[at] = (touched[at] ?? 0) ^ (1 << (yield* int(7)))
        const opened = open((yield* Random.next) < 0.3 ? touched.subarray(0, at) : touched)
        // The envelope's tags are nobody's secret; what is inside came from the sender, or does not open.
        if (opened !== undefined) again.push(opened)
      }
      assert.isBelow(again.length, 290)
      for (const opened of again) assert.deepStrictEqual(opened, packet)
    }).pipe(Effect.provide(NodeCryptography.layer), Random.withSeed(2)))

  it("are new once per counter, in any order, as far back as 1024", () => {
    const window = new ReplayWindow()
    const take = (counter: number) => {
      const fresh = window.fresh(counter)
      if (fresh) window.mark(counter)
      return fresh
    }
    assert.isTrue(take(0))
    assert.isFalse(take(0))
    assert.isTrue(take(5000))
    assert.isTrue(take(4000))
    assert.isFalse(take(4000))
    assert.isFalse(take(3975))
    assert.isTrue(take(3977))
    assert.isTrue(take(5001))
    for (let counter = 4001; counter < 5000; counter++) assert.isTrue(take(counter), `${counter}`)
    for (let counter = 4001; counter < 5002; counter++) assert.isFalse(take(counter), `${counter}`)
  })
})

describe("connections that say nothing", () => {
  it.live("keep no device out, however many there are, and are hung up", () =>
    inWorld(
      { limits: { handshakes: 2 }, timings: { handshakeTimeoutMillis: 10_000 } },
      (world) =>
        Effect.gen(function*() {
          yield* world.session("operator")
          const silent = yield* Effect.forEach(Array.from({ length: 50 }), () => world.transport.connect)
          const late = yield* world.makeClient({ device: "edge-2" })
          yield* Effect.forkScoped(late.run)
          // Less than one handshake's time: nobody waits for those who say nothing.
          yield* Effect.timeout(world.session("operator", 2), "5 seconds")
          for (const connection of silent) {
            const error = yield* Effect.timeout(Effect.flip(connection.receive), "1 minute")
            assert.strictEqual(error.reason, "Lost")
          }
          assert.deepStrictEqual(world.admitted.map(({ hello }) => hello.device), ["edge-1", "edge-2"])
        })
    ))
})

describe("a device that breaks the protocol", () => {
  it.live("loses its session and nobody else's, whatever it sends", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const honest = yield* world.session("operator")
        let sent = 0
        while (sent < 4_000) {
          yield* Effect.scoped(Effect.gen(function*() {
            const { connection, sealing } = yield* impostor(world)
            yield* Effect.forkScoped(Effect.ignore(Effect.forever(connection.receive)))
            let next = 1
            for (let packets = 0; packets < 40; packets++) {
              sent += 1
              const packet = yield* foolish(next)
              next += packet.segments.length
              yield* connection.send(sealing.seal(packet))
              yield* Effect.yieldNow
            }
          })).pipe(Effect.exit)
          sent += 1
        }
        assert.strictEqual(string(yield* honest.request(text("still here"))), "still here")
        assert.isAtMost((yield* world.server.sessions).length, 2)
      })))

  it.live("cannot make the operator hold more than its pool", () =>
    inWorld({
      operator: () =>
        Effect.succeed({
          onRequest: () => Effect.never,
          onOpen: (_, channel) => Effect.andThen(Effect.never, Stream.runDrain(channel.messages))
        })
    }, (world) =>
      Effect.gen(function*() {
        yield* world.session("operator")
        const { connection, sealing } = yield* impostor(world)
        const refusals: Array<number> = []
        yield* Effect.forkScoped(
          Effect.gen(function*() {
            while (true) {
              const frame = decodeFrame(yield* connection.receive)
              const packet = frame && sealing.open(frame)
              for (const segment of packet?.segments ?? []) {
                if (segment.error === ErrorCode.OVERLOADED) refusals.push(segment.stream)
              }
            }
          }).pipe(Effect.ignore)
        )
        for (let opened = 0; opened < 400; opened++) {
          const segment = create(SegmentSchema, {
            stream: 2 * opened + 1,
            kind: Kind.OPEN,
            data: new Uint8Array(16_000),
            more: true,
            length: 1_000_000
          })
          yield* connection.send(
            sealing.seal(create(PacketSchema, { sequence: BigInt(opened + 1), segments: [segment] }))
          )
        }
        yield* Effect.sleep("1 second")
        // Channels may hold four fifths of 4 MiB: 204 windows, or fewer with messages of a megabyte.
        assert.isAtLeast(refusals.length, 400 - 204)
      })))

  it.live("cannot make it keep answers that are never acknowledged, or words that cost no credit", () =>
    Effect.gen(function*() {
      const open = (stream: number, more: boolean, length = 0) =>
        create(SegmentSchema, { stream, kind: Kind.OPEN, data: new Uint8Array(1), more, length })
      const many = (segment: (index: number) => Segment) => Array.from({ length: 50_000 }, (_, index) => segment(index))
      const large = (stream: number, more = true) =>
        create(SegmentSchema, { stream, kind: Kind.REQUEST, data: new Uint8Array(1), more, length: 2_000_000 })
      const attacks: { readonly [name: string]: ReadonlyArray<Segment> } = {
        "streams beyond the pool": many((index) => open(2 * index + 1, true, 1_000)),
        "messages too large": many((index) => open(2 * index + 1, true, 3_000_000)),
        "ends of what waits": [
          large(1),
          large(3),
          ...many(() => create(SegmentSchema, { stream: 3, kind: Kind.END }))
        ],
        "failures of what waits": [
          large(1),
          large(3),
          ...many(() => create(SegmentSchema, { stream: 3, kind: Kind.FAIL, error: ErrorCode.REFUSED }))
        ],
        "empty pieces of what waits": [
          large(1),
          large(3),
          ...many(() => create(SegmentSchema, { stream: 3, more: true }))
        ],
        "empty pieces of a message": [
          open(1, false),
          create(SegmentSchema, { stream: 1, data: new Uint8Array(1), more: true, length: 1_000 }),
          ...many(() => create(SegmentSchema, { stream: 1, more: true }))
        ],
        "a second message of a request": [
          create(SegmentSchema, { stream: 1, kind: Kind.REQUEST, data: new Uint8Array(1) }),
          create(SegmentSchema, { stream: 1, data: new Uint8Array(1) })
        ],
        "details without end": [
          open(1, true, 1_000),
          create(SegmentSchema, { stream: 1, kind: Kind.FAIL, detail: "x".repeat(2_000) })
        ]
      }
      for (const [name, segments] of Object.entries(attacks)) {
        const usages: Array<() => LinkUsage> = []
        yield* inWorld({
          operator: () => Effect.succeed({ onRequest: () => Effect.never, onOpen: () => Effect.never }),
          witness: (usage) => void usages.push(usage)
        }, (world) =>
          Effect.gen(function*() {
            yield* world.session("operator")
            const { connection, sealing } = yield* impostor(world)
            yield* Effect.forkScoped(Effect.ignore(Effect.forever(connection.receive)))
            const session = yield* world.session("operator", 2)
            const most = mostUsage(defaultLimits, "operator")
            yield* Effect.gen(function*() {
              for (let at = 0; at < segments.length; at += 500) {
                const some = segments.slice(at, at + 500)
                yield* connection.send(sealing.seal(create(PacketSchema, { sequence: BigInt(at + 1), segments: some })))
                yield* Effect.sleep(1)
                for (const usage of usages) assert.isAtMost(usage().answers, most.answers)
              }
            }).pipe(Effect.ignore)
            const why = yield* Effect.timeoutOption(session.closed, "1 second")
            assert.match(JSON.stringify(why), /the peer broke the protocol/, name)
          }))
      }
    }))

  it.live("cannot have it keep many small pieces, or what it does not understand, until there is memory", () =>
    inWorld(
      { operator: () => Effect.succeed({ onRequest: () => Effect.never, onOpen: () => Effect.never }) },
      (world) =>
        Effect.gen(function*() {
          yield* world.session("operator")
          const { connection, sealing } = yield* impostor(world)
          const refused: Array<number> = []
          yield* Effect.forkScoped(
            Effect.gen(function*() {
              while (true) {
                const frame = decodeFrame(yield* connection.receive)
                const packet = frame && sealing.open(frame)
                for (const segment of packet?.segments ?? []) {
                  if (segment.error === ErrorCode.OVERLOADED) refused.push(segment.stream)
                }
              }
            }).pipe(Effect.ignore)
          )
          const piece = { data: new Uint8Array(1), more: true }
          const segments = [
            create(SegmentSchema, { ...piece, stream: 1, kind: Kind.REQUEST, length: 2_000_000 }),
            create(SegmentSchema, { ...piece, stream: 3, kind: Kind.REQUEST, length: 2_000_000 }),
            ...Array.from({ length: 10_000 }, () => create(SegmentSchema, { stream: 3, kind: 9 as Kind })),
            ...Array.from({ length: 10_000 }, () => create(SegmentSchema, { ...piece, stream: 3 }))
          ]
          for (let at = 0; at < segments.length; at += 500) {
            const some = segments.slice(at, at + 500)
            yield* connection.send(sealing.seal(create(PacketSchema, { sequence: BigInt(at + 1), segments: some })))
            yield* Effect.sleep(1)
            // What nobody understands is dropped at once.
            if (at === 10_000) assert.deepStrictEqual(refused, [])
          }
          yield* Effect.sleep("1 second")
          assert.deepStrictEqual(refused, [3])
        })
    ))

  it.live("cannot send beyond its credit", () =>
    inWorld(
      { operator: () => Effect.succeed({ onRequest: () => Effect.never, onOpen: () => Effect.never }) },
      (world) =>
        Effect.gen(function*() {
          const { connection, sealing } = yield* impostor(world)
          yield* world.session("operator", 2)
          for (let sequence = 1; sequence <= 3; sequence++) {
            const segment = create(SegmentSchema, {
              stream: 1,
              kind: sequence === 1 ? Kind.OPEN : Kind.UNSPECIFIED,
              data: new Uint8Array(8_000)
            })
            yield* connection.send(
              sealing.seal(create(PacketSchema, { sequence: BigInt(sequence), segments: [segment] }))
            )
          }
          yield* Effect.sleep("1 second")
          const over = yield* Effect.forEach(
            world.sessions.operator,
            (session) => Effect.timeoutOption(session.closed, 10)
          )
          assert.match(JSON.stringify(over), /more than the credit/)
        })
    ))

  it.live.each([1, 3, Number.MAX_SAFE_INTEGER])(
    "cannot come back having received more than the one segment that was sent: %s",
    (received) =>
      inWorld({}, (world) =>
        Effect.gen(function*() {
          yield* world.session("operator")
          const session = yield* Effect.scoped(Effect.gen(function*() {
            yield* impostor(world, { instance: "rogue" })
            const begun = yield* world.session("operator", 2)
            yield* Effect.forkScoped(Effect.ignore(begun.request(text("x"))))
            yield* Effect.sleep("1 second")
            return begun
          }))
          const resume = { session: Buffer.from(session.id, "hex"), received }
          yield* impostor(world, { instance: "rogue", resume })
          const why = Option.getOrUndefined(yield* Effect.timeoutOption(session.closed, "1 second"))
          assert.strictEqual(why, received === 1 ? undefined : "the peer broke the protocol: numbers out of range")
        }))
  )
})
