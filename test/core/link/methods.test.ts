import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Random, Stream, SubscriptionRef } from "effect"
import type { Session } from "../../../core/link/Session.ts"
import type { MemoryTransportControls } from "../../fakes/MemoryTransport.ts"
import { noise } from "./noise.ts"
import { inWorld, string, text, type World } from "./world.ts"

const method = (world: World) =>
  Effect.map(
    SubscriptionRef.get(world.client.state),
    (state) => state.status === "Connected" ? state.method : state.status
  )

/** Virtual seconds at which something of a kind happened. */
const times = (transport: MemoryTransportControls, what: "dialed" | "refused") =>
  Effect.map(transport.diary, (diary) => diary.filter((entry) => entry.endsWith(what)).map(Number.parseFloat))

/** Most of these in any stretch of so many seconds. */
const densest = (at: ReadonlyArray<number>, seconds: number) =>
  Math.max(0, ...at.map((from) => at.filter((time) => time >= from && time < from + seconds).length))

/** An echo that runs for as long as the messages take, one each 250 ms; answers with the longest pause between two of its replies. */
const echoing = (operator: Session, messages: ReadonlyArray<Uint8Array>) =>
  Effect.scoped(Effect.gen(function*() {
    const channel = yield* operator.open(text("echo"))
    const sending = Effect.forEach(messages, (message) => Effect.andThen(Effect.sleep(250), channel.send(message)), {
      discard: true
    })
    const got: Array<Uint8Array> = []
    let last = yield* Clock.currentTimeMillis
    let longest = 0
    const reading = Stream.runForEach(channel.messages, (message) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        got.push(message)
        longest = Math.max(longest, now - last)
        last = now
      }))
    yield* Effect.all([Effect.andThen(sending, channel.end), reading], { concurrency: 2 })
    assert.strictEqual(Buffer.compare(Buffer.concat(got), Buffer.concat(messages)), 0)
    return longest
  }))

const messages = (count: number) => Array.from({ length: count }, (_, index) => noise(500, index + 1))

describe("several methods", () => {
  it.live("fall over to the next at once, and return to the best without losing the session", () =>
    inWorld({ backup: true }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        assert.strictEqual(yield* method(world), "memory")
        yield* world.transport.refuse("Refused")
        yield* world.transport.cut()
        yield* Effect.sleep("5 seconds")
        assert.strictEqual(yield* method(world), "backup")
        assert.strictEqual(operator.method(), "backup", "the operator's end knows it, too")
        assert.strictEqual(string(yield* operator.request(text("x"))), "x")

        yield* Effect.sleep("25 minutes")
        assert.strictEqual(yield* method(world), "backup")
        yield* world.transport.refuse(undefined)
        const streaming = yield* Effect.forkChild(echoing(operator, messages(3_000)))
        yield* Effect.sleep("11 minutes")
        assert.strictEqual(yield* method(world), "memory")
        assert.strictEqual(operator.method(), "memory")
        assert.strictEqual(yield* world.backup.open, 0)
        yield* Fiber.join(streaming)
        assert.strictEqual(world.admitted.length, 1)
        assert.strictEqual(world.sessions.operator.length, 1)
      })))

  it.live("return soon after a short outage, while a stream carries data and hardly pauses", () =>
    inWorld({ backup: true }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* world.transport.weather({ delayMillis: [20, 40] })
        yield* world.backup.weather({ delayMillis: [100, 200] })
        yield* world.transport.refuse("Refused")
        yield* world.transport.cut()
        yield* Effect.sleep("4 seconds")
        yield* world.transport.refuse(undefined)
        const streaming = yield* Effect.forkChild(echoing(operator, messages(400)))
        assert.strictEqual(yield* method(world), "backup")
        yield* Effect.sleep("61 seconds")
        assert.strictEqual(yield* method(world), "memory")
        // What was under way on the old connection goes out again on the new one at once.
        assert.isBelow(yield* Fiber.join(streaming), 1_000)
        assert.strictEqual(world.sessions.device.length, 1)
        assert.deepStrictEqual([yield* world.transport.open, yield* world.backup.open], [1, 0])
      })))

  it.live("hold on to the lesser connection until the better one has the session", () =>
    inWorld({ backup: true }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* world.transport.refuse("Refused")
        yield* world.transport.cut()
        yield* Effect.sleep("4 seconds")
        // The better one connects and then says nothing: as bad as none.
        yield* world.transport.refuse(undefined)
        yield* world.transport.weather({ blackHole: true })
        const streaming = yield* Effect.forkChild(echoing(operator, messages(2_400)))
        yield* Effect.sleep("9 minutes")
        assert.isAtLeast((yield* times(world.transport, "dialed")).length, 3)
        assert.strictEqual(yield* method(world), "backup")
        yield* world.transport.weather({ blackHole: false })
        yield* Effect.sleep("10 minutes")
        assert.strictEqual(yield* method(world), "memory")
        assert.isBelow(yield* Fiber.join(streaming), 1_000)
        assert.strictEqual(yield* world.backup.open, 0)
        assert.lengthOf((yield* world.backup.diary).filter((entry) => entry.endsWith("dialed")), 1)
      })))

  it.live("set aside one whose credential is not accepted, say so once, and try it alone and slowly", () => {
    const warnings: Array<string> = []
    return inWorld({ backup: true, warnings }, (world) =>
      Effect.gen(function*() {
        yield* world.session("operator")
        yield* world.transport.refuse("Rejected")
        yield* world.transport.cut()
        yield* Effect.sleep("4 seconds")
        assert.strictEqual(yield* method(world), "backup")
        yield* Effect.sleep("2 hours")
        const tries = yield* times(world.transport, "refused")
        assert.isAtLeast(tries.length, 10)
        assert.isAtMost(densest(tries, 150), 1)
        assert.deepStrictEqual(warnings, [
          "method memory is set aside, the others go on: a credential was not accepted: nobody listens; "
          + "it is tried again every 2.5 to 5 minutes"
        ])
        assert.lengthOf(yield* times(world.backup, "dialed"), 1)

        // Nor does it slow the other down once that is lost.
        yield* world.backup.cut()
        yield* Effect.sleep("4 seconds")
        assert.strictEqual(yield* method(world), "backup")

        yield* world.transport.refuse(undefined)
        yield* Effect.sleep("11 minutes")
        assert.strictEqual(yield* method(world), "memory")
      }))
  })

  it.live("use a best one that flaps ever less often, and without any dial storm", () =>
    inWorld({ backup: true }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        const flapping = yield* Effect.forkChild(Effect.forever(Effect.gen(function*() {
          if ((yield* method(world)) === "memory") {
            yield* Effect.sleep("20 seconds")
            yield* world.transport.cut()
          }
          yield* Effect.sleep("1 second")
        })))
        let onBackup = 0
        for (let minute = 0; minute < 180; minute++) {
          yield* Effect.sleep("1 minute")
          if ((yield* method(world)) === "backup") onBackup += 1
        }
        const dialed = yield* times(world.transport, "dialed")
        assert.isAtMost(dialed.length, 50)
        assert.isAtMost(densest(dialed, 60), 4)
        assert.isAtLeast(onBackup, 150)
        yield* Fiber.interrupt(flapping)
        yield* Effect.sleep("11 minutes")
        assert.strictEqual(yield* method(world), "memory")
        assert.strictEqual(string(yield* operator.request(text("the same"))), "the same")
        assert.strictEqual(world.sessions.operator.length, 1)
      })))

  it.live("wait each by itself where all are down, and come back within the back-off", () =>
    inWorld({ backup: true }, (world) =>
      Effect.gen(function*() {
        yield* world.session("operator")
        yield* world.transport.refuse("Refused")
        yield* world.backup.refuse("Rejected")
        yield* world.transport.cut()
        yield* Effect.sleep("90 minutes")
        const best = yield* times(world.transport, "refused")
        const other = yield* times(world.backup, "refused")
        // A credential that somebody must mend does not slow down the other method.
        assert.isAtLeast(best.length, 60)
        assert.isAtMost(best.length, 140)
        assert.isAtMost(densest(best.filter((at) => at > (best[0] ?? 0) + 60), 10), 4)
        assert.isAtMost(other.length, 90 / 2.5 + 1)
        assert.isAtMost(densest(other, 150), 1)
        const state = yield* SubscriptionRef.get(world.client.state)
        assert.match(state.status === "Waiting" ? state.error.message : "", /could not connect/)
        yield* world.transport.refuse(undefined)
        yield* Effect.sleep("5 minutes")
        assert.strictEqual(yield* method(world), "memory")
      })))

  it.live("wait for each no longer than its own dial timeout", () =>
    inWorld({
      backup: true,
      dialers: ([best, ...others]) => [
        { method: "stuck", dialTimeoutMillis: 3_000, connect: Effect.never },
        { ...best!, dialTimeoutMillis: 7_000, connect: Effect.never },
        ...others
      ]
    }, (world) =>
      Effect.gen(function*() {
        const began = yield* Clock.currentTimeMillis
        const seen: Array<string> = []
        yield* SubscriptionRef.changes(world.client.state).pipe(
          Stream.runForEach((state) =>
            Effect.map(Clock.currentTimeMillis, (now) =>
              void seen.push(
                `${Math.round((now - began) / 1000)}s ${
                  state.status === "Waiting" ? state.error.message : `${state.status} ${state.method}`
                }`
              ))
          ),
          Effect.forkScoped
        )
        yield* world.session("operator")
        yield* Effect.sleep("1 second")
        assert.deepStrictEqual([...new Set(seen)], [
          "0s Dialing stuck",
          "3s Dialing memory",
          "10s Dialing backup",
          "10s Connected backup"
        ])
      })))

  it.live("give way to the next at once where the best went silent, and go back when it speaks again", () =>
    inWorld({ backup: true }, (world) =>
      Effect.gen(function*() {
        const operator = yield* world.session("operator")
        yield* Effect.sleep("10 minutes")
        const streaming = yield* Effect.forkChild(echoing(operator, messages(800)))
        yield* Effect.sleep("10 seconds")
        yield* world.transport.weather({ blackHole: true })
        // The device only receives: it asks after 30 s of silence, and believes the silence after 30 more.
        yield* Effect.sleep("66 seconds")
        assert.strictEqual(yield* method(world), "backup")
        // Not dialed in vain before the other was.
        assert.lengthOf(yield* times(world.transport, "dialed"), 1)
        yield* world.transport.weather({ blackHole: false })
        yield* Effect.sleep("62 seconds")
        assert.strictEqual(yield* method(world), "memory")
        assert.isBelow(yield* Fiber.join(streaming), 66_000)
        assert.strictEqual(world.sessions.operator.length, 1)
      })))

  for (let seed = 1; seed <= 15; seed++) {
    it.live(`whatever happens to them (seed ${seed}), a stream runs on, byte for byte, in one session, and ends on the best`, () =>
      inWorld({ backup: true }, (world) =>
        Effect.gen(function*() {
          const operator = yield* world.session("operator")
          const streaming = yield* Effect.forkChild(echoing(operator, messages(1_200)))
          const both = [world.transport, world.backup]
          const trouble = Effect.gen(function*() {
            const victim = both[yield* Random.nextIntBetween(0, 1)] ?? world.transport
            const lasting = 1_000 + 60_000 * (yield* Random.next)
            const kinds = [
              victim.cut(),
              Effect.andThen(victim.refuse("Refused"), victim.cut()),
              Effect.andThen(victim.refuse("Rejected"), victim.cut()),
              victim.weather({ blackHole: true }),
              victim.weather({ blackHole: true }, "toDevice"),
              victim.weather({ loss: 0.3, reorder: 0.2, delayMillis: [50, 800] })
            ]
            yield* kinds[yield* Random.nextIntBetween(0, kinds.length - 1)] ?? Effect.void
            yield* Effect.sleep(lasting)
            yield* victim.refuse(undefined)
            yield* victim.weather({ blackHole: false, loss: 0, reorder: 0, delayMillis: [0, 0] })
            yield* Effect.sleep(20_000 * (yield* Random.next))
          })
          for (let count = 0; count < 8; count++) yield* trouble
          yield* Effect.sleep("21 minutes")
          yield* Fiber.join(streaming)
          assert.strictEqual(world.sessions.operator.length, 1)
          assert.strictEqual(yield* method(world), "memory")
          for (const transport of both) {
            assert.isAtMost(densest(yield* times(transport, "refused"), 10), 12)
            assert.isAtMost(densest(yield* times(transport, "dialed"), 10), 6)
          }
        }), seed))
  }
})
