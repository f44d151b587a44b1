import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Schedule, Semaphore } from "effect"
import type { MemoryTransportControls } from "../../fakes/MemoryTransport.ts"
import { inWorld, type World } from "./world.ts"

const agents = 300

/** Dials since a moment, counted by the second. */
const histogram = (transport: MemoryTransportControls, since: number) =>
  Effect.map(transport.diary, (diary) => {
    const buckets: Array<number> = []
    for (const entry of diary) {
      const at = Number.parseFloat(entry) - since / 1000
      if (at < 0 || !/dialed|refused/u.test(entry)) continue
      const second = Math.floor(at)
      buckets[second] = (buckets[second] ?? 0) + 1
    }
    return Array.from(buckets, (count) => count ?? 0)
  })

const draw = (title: string, buckets: ReadonlyArray<number>, seconds = 40) =>
  [
    `${title}: dials of ${agents} agents in each second`,
    ...buckets.slice(0, seconds).map((count, second) =>
      `${String(second).padStart(4)} s ${"#".repeat(count / 3)} ${count}`
    )
  ].join("\n")

/** Of all agents, the greatest part that dials in one second. */
const share = (buckets: ReadonlyArray<number>) => Math.max(0, ...buckets) / agents

const inFleet = (backup: boolean, body: (world: World, allBack: Effect.Effect<void>) => Effect.Effect<void>) =>
  inWorld({ backup, limits: { handshakes: 64 } }, (world) =>
    Effect.gen(function*() {
      for (let count = 1; count < agents; count++) {
        const client = yield* world.makeClient({ device: `edge-${count + 1}` })
        yield* Effect.forkScoped(client.run)
      }
      const allBack = Effect.gen(function*() {
        const up = (yield* world.transport.open) + (yield* world.backup.open)
        if (up < agents) return yield* Effect.fail("not yet")
      }).pipe(Effect.retry(Schedule.spaced("100 millis")), Effect.orDie)
      yield* allBack
      yield* Effect.sleep("20 minutes")
      yield* body(world, allBack)
      // None of them had to begin anew.
      assert.lengthOf(world.sessions.operator, agents)
    }))

describe("three hundred agents whose connections break at once", () => {
  it.live("come back within four seconds, at most 45 % of them in any one", () =>
    inFleet(false, (world, allBack) =>
      Effect.gen(function*() {
        const cut = yield* Clock.currentTimeMillis
        yield* world.transport.cut()
        yield* allBack
        assert.isAtMost((yield* Clock.currentTimeMillis) - cut, 4_000)
        const buckets = yield* histogram(world.transport, cut)
        console.log(draw("after a reset", buckets))
        assert.isAtMost(share(buckets), 0.45)
      })))

  it.live("come back within 30 s of the end of an outage, at most 10 % of them in any one second", () =>
    inFleet(false, (world, allBack) =>
      Effect.gen(function*() {
        const cut = yield* Clock.currentTimeMillis
        yield* world.transport.refuse("Refused")
        yield* world.transport.cut()
        yield* Effect.sleep("45 seconds")
        yield* world.transport.refuse(undefined)
        yield* allBack
        assert.isAtMost((yield* Clock.currentTimeMillis) - cut, 75_000)
        const buckets = yield* histogram(world.transport, cut)
        console.log(draw("through an outage of 45 s", buckets, 80))
        assert.isAtMost(share(buckets.slice(45)), 0.1)
        // Before that first, second and third tries fall together; none of them costs more than a refusal.
        assert.isAtMost(share(buckets.slice(0, 5)), 0.9)
        assert.isAtMost(share(buckets.slice(5, 45)), 0.33)
      })))

  it.live("fall over to the next method no faster than that, and go back ten times more slowly", () =>
    inFleet(true, (world, allBack) =>
      Effect.gen(function*() {
        const cut = yield* Clock.currentTimeMillis
        yield* world.transport.refuse("Refused")
        yield* world.transport.cut()
        yield* allBack
        assert.isAtMost((yield* Clock.currentTimeMillis) - cut, 4_000)
        const over = yield* histogram(world.backup, cut)
        console.log(draw("falling over", over))
        assert.isAtMost(share(over), 0.45)
        yield* Effect.sleep("10 seconds")
        yield* world.transport.refuse(undefined)
        const mended = yield* Clock.currentTimeMillis
        yield* Effect.sleep("2 minutes")
        assert.strictEqual(yield* world.transport.open, agents)
        assert.strictEqual(yield* world.backup.open, 0)
        const back = yield* histogram(world.transport, mended)
        console.log(draw("going back", back, 60))
        assert.isAtMost(share(back), 0.08)
      })))
})

describe("three hundred agents whose operator has forgotten their sessions", () => {
  it.live("get in as fast as they can be admitted, though most hang up while they wait", () =>
    Effect.gen(function*() {
      const atOnce = 10
      const turns = yield* Semaphore.make(atOnce)
      let millis = 0
      let issued = 0
      const admit = () =>
        turns.withPermit(
          Effect.delay(Effect.sync(() => ({ epoch: 1, lineage: Uint8Array.of(++issued & 255, issued >> 8) })), millis)
        )
      yield* inWorld({ admit, limits: { handshakes: 64 } }, (world) =>
        Effect.gen(function*() {
          for (let count = 1; count < agents; count++) {
            const client = yield* world.makeClient({ device: `edge-${count + 1}` })
            yield* Effect.forkScoped(client.run)
          }
          const taken = (many: number) =>
            Effect.suspend(() => world.sessions.operator.length < many ? Effect.fail("not yet") : Effect.void).pipe(
              Effect.retry(Schedule.spaced("100 millis").pipe(Schedule.upTo({ duration: "10 minutes" }))),
              Effect.orDie
            )
          yield* taken(agents)
          yield* Fiber.interrupt(world.serving)
          const before = issued
          millis = 1_000
          yield* Effect.forkScoped(world.server.run)
          const restarted = yield* Clock.currentTimeMillis
          yield* taken(2 * agents)
          const took = (yield* Clock.currentTimeMillis) - restarted
          console.log(`all in after ${took / 1000} s, ${issued - before} admissions`)
          // What the admissions take, and what the last of those who hung up waited before they dialed again.
          assert.isAtMost(took, agents / atOnce * 1_000 + 30_000)
          assert.isAtMost(issued - before, agents * 1.2)
        }))
    }))
})
