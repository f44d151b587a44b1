import { assert, describe, it } from "@effect/vitest"
import { type Cause, Effect, Exit, Fiber, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { followedLog, linesIn } from "../../../adapters/docker/followedLog.ts"
import type { LogChunk, LogQuery } from "../../../core/pod/ContainerRuntime.ts"
import { textOf } from "../../contracts/runtimeWorld.ts"

const chunk = (second: number, text: string, stream: LogChunk["stream"] = "stdout"): LogChunk => ({
  stream,
  time: new Date(second * 1000).toISOString().replace("Z", "000000Z"),
  bytes: new TextEncoder().encode(text)
})

/** An engine that keeps the newest `kept` messages, and rings only when the test says so. */
const makeEngine = (first: ReadonlyArray<LogChunk>, kept = Infinity) => {
  let log = [...first]
  let bell = Queue.unbounded<number, Cause.Done>()
  const state = { runs: true, bells: 0, reads: [] as Array<number | undefined> }
  let rings: Queue.Queue<number, Cause.Done> | undefined
  return {
    state,
    write: (...chunks: ReadonlyArray<LogChunk>) => Effect.sync(() => void (log = [...log, ...chunks].slice(-kept))),
    ring: Effect.suspend(() => rings === undefined ? Effect.void : Effect.asVoid(Queue.offer(rings, 1))),
    /** Docker says that this was all. */
    hangUp: Effect.suspend(() => rings === undefined ? Effect.void : Effect.asVoid(Queue.end(rings))),
    engine: {
      bell: Stream.unwrap(Effect.gen(function*() {
        state.bells += 1
        rings = yield* bell
        bell = Queue.unbounded<number, Cause.Done>()
        return Stream.fromQueue(rings)
      })),
      read: ({ since, tail }: { readonly tail?: number; readonly since?: number }) =>
        Stream.suspend(() => {
          state.reads.push(tail)
          const end = tail === undefined ? log : log.slice(Math.max(0, log.length - tail))
          return Stream.fromIterable(end.filter(({ time }) => since === undefined || Date.parse(time) >= since))
        }),
      runs: Effect.sync(() => state.runs)
    }
  }
}

const follow = Effect.fnUntraced(function*(
  { engine }: ReturnType<typeof makeEngine>,
  query: Omit<LogQuery, "follow"> = {}
) {
  const seen: Array<LogChunk> = []
  const fiber = yield* Effect.forkChild(
    Effect.exit(Stream.runForEach(followedLog(engine, query), (each) => Effect.sync(() => void seen.push(each)))),
    { startImmediately: true }
  )
  yield* TestClock.adjust("1 millis")
  return { fiber, text: () => textOf(seen) }
})

describe("a followed log of docker", () => {
  it.effect("tells every message once, whatever docker rings for", () =>
    Effect.gen(function*() {
      const made = makeEngine([chunk(1, "a"), chunk(2, "b")])
      const { text } = yield* follow(made)
      assert.strictEqual(text(), "ab")
      yield* made.ring
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(text(), "ab")
      yield* made.write(...Array.from({ length: 500 }, (_, index) => chunk(3 + index, "c")))
      yield* made.ring
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(text(), `ab${"c".repeat(500)}`)
    }))

  it.effect("finds what docker does not ring for", () =>
    Effect.gen(function*() {
      const made = makeEngine([])
      const { text } = yield* follow(made)
      yield* made.write(chunk(1, "a"))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(text(), "a")
    }))

  it.effect("goes on where docker says that this was all while the container runs", () =>
    Effect.gen(function*() {
      const made = makeEngine([chunk(1, "a")])
      const { fiber, text } = yield* follow(made)
      yield* made.write(chunk(2, "b"))
      yield* made.hangUp
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual(text(), "ab")
      yield* made.write(chunk(3, "c"))
      yield* made.ring
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(text(), "abc")
      assert.strictEqual(made.state.bells, 2)
      made.state.runs = false
      yield* made.write(chunk(4, "d"))
      yield* made.hangUp
      yield* TestClock.adjust("1 millis")
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
      assert.strictEqual(text(), "abcd")
    }))

  it.effect("tells the pieces of a long line, which have one time, and what the other stream says at that time", () =>
    Effect.gen(function*() {
      const made = makeEngine([chunk(1, "a"), chunk(1, "b")])
      const { text } = yield* follow(made)
      yield* made.write(chunk(1, "E", "stderr"), chunk(1, "c"), chunk(0.5, "set back"))
      yield* made.ring
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(text(), "abEcset back")
      yield* made.write(chunk(1, "F", "stderr"))
      yield* made.ring
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(text(), "abEcset backF")
    }))

  it.effect("begins at its end, or at a moment, and misses nothing from then on", () =>
    Effect.gen(function*() {
      const made = makeEngine([chunk(1, "a"), chunk(2, "b")])
      const fromEnd = yield* follow(made, { tail: 0 })
      const fromLast = yield* follow(makeEngine([chunk(1, "a"), chunk(2, "b")]), { tail: 1 })
      const since = makeEngine([chunk(1, "a"), chunk(2, "b")])
      const fromMoment = yield* follow(since, { since: 3000 })
      assert.deepStrictEqual([fromEnd.text(), fromLast.text(), fromMoment.text()], ["", "b", ""])
      yield* made.write(chunk(3, "c"))
      yield* since.write(chunk(2.5, "early"), chunk(3, "c"))
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual([fromEnd.text(), fromMoment.text()], ["c", "c"])
    }))

  it.effect("ends with an error, and says nothing more, where rotation was faster than its reader", () =>
    Effect.gen(function*() {
      const made = makeEngine([chunk(1, "a")], 3)
      const { fiber, text } = yield* follow(made)
      yield* made.write(...[2, 3, 4, 5].map((second) => chunk(second, `${second}`)))
      yield* made.ring
      yield* TestClock.adjust("1 millis")
      const exit = yield* Fiber.join(fiber)
      assert.match(Exit.isFailure(exit) ? String(exit.cause) : "", /dropped by rotation: ask for it again/)
      assert.strictEqual(text(), "a")
    }))

  it("counts about as many messages as there are lines", () => {
    assert.strictEqual(linesIn(new TextEncoder().encode("one\ntwo\nthree\n")), 4)
    assert.strictEqual(linesIn(new Uint8Array()), 1)
  })
})
