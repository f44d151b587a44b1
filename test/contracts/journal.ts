/** What every Journal must do, whatever it is made of. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer, type Scope } from "effect"
import { type Change, Journal, type Table } from "../../core/agent/Journal.ts"

export interface JournalPlace {
  /** Opens the journal that lives in this place; built again it is the same one, with what was committed. */
  readonly layer: Layer.Layer<Journal, unknown>
}

const bytes = (...values: ReadonlyArray<number>) => Uint8Array.from(values)
const put = (table: Table, key: string, value: Uint8Array, secret = false): Change => ({
  _tag: "Put",
  table,
  key,
  value,
  secret
})
const gone = (table: Table, key: string): Change => ({ _tag: "Remove", table, key })

/** `place` gives an empty place of its own to each test, and cleans it up with its scope. */
export const journalContract = (name: string, place: Effect.Effect<JournalPlace, unknown, Scope.Scope>) => {
  const opened = <A, E>(at: JournalPlace, use: (journal: Journal["Service"]) => Effect.Effect<A, E>) =>
    Effect.scoped(Effect.provide(Effect.flatMap(Journal, use), at.layer, { local: true }))
  const test = (what: string, body: (at: JournalPlace) => Effect.Effect<void, unknown, Scope.Scope>) =>
    it.live(what, () => Effect.scoped(Effect.flatMap(place, body)))

  describe(`${name} as a Journal`, () => {
    test("gives back rows in key order, each table by itself", (at) =>
      opened(at, (journal) =>
        Effect.gen(function*() {
          yield* journal.commit([put("pods", "b", bytes(2)), put("pods", "a", bytes(1)), put("link", "c", bytes(3))])
          assert.deepStrictEqual(yield* journal.rows("pods"), [
            { key: "a", value: bytes(1) },
            { key: "b", value: bytes(2) }
          ])
          assert.deepStrictEqual(yield* journal.rows("events"), [])
        })))

    test("replaces and removes; removing what is not there is fine", (at) =>
      opened(at, (journal) =>
        Effect.gen(function*() {
          yield* journal.commit([put("pods", "a", bytes(1)), put("pods", "b", bytes(2))])
          yield* journal.commit([put("pods", "a", bytes(9)), gone("pods", "b"), gone("pods", "x")])
          assert.deepStrictEqual(yield* journal.rows("pods"), [{ key: "a", value: bytes(9) }])
        })))

    test("applies the changes of one commit in their order", (at) =>
      opened(at, (journal) =>
        Effect.gen(function*() {
          yield* journal.commit([put("pods", "a", bytes(1)), gone("pods", "a"), put("pods", "a", bytes(2))])
          assert.deepStrictEqual(yield* journal.rows("pods"), [{ key: "a", value: bytes(2) }])
        })))

    test("remembers after it was closed and opened again, secrets too", (at) =>
      Effect.gen(function*() {
        const secret = bytes(0, 255, 10, 13)
        yield* opened(
          at,
          (journal) => journal.commit([put("assignments", "a", secret, true), put("pods", "a", bytes())])
        )
        yield* opened(at, (journal) =>
          Effect.gen(function*() {
            assert.deepStrictEqual(yield* journal.rows("assignments"), [{ key: "a", value: secret }])
            assert.deepStrictEqual(yield* journal.rows("pods"), [{ key: "a", value: bytes() }])
          }))
      }))

    test("keeps what it was given, not what becomes of the array", (at) =>
      opened(at, (journal) =>
        Effect.gen(function*() {
          const value = bytes(1, 2, 3)
          yield* journal.commit([put("pods", "a", value)])
          value.fill(0)
          assert.deepStrictEqual(yield* journal.rows("pods"), [{ key: "a", value: bytes(1, 2, 3) }])
        })))

    test("holds rows of a megabyte and keys of any text", (at) =>
      opened(at, (journal) =>
        Effect.gen(function*() {
          const large = new Uint8Array(1024 * 1024).fill(7)
          yield* journal.commit([put("assignments", "ü/'\"; drop table", large, true)])
          const [row] = yield* journal.rows("assignments")
          assert.strictEqual(row?.key, "ü/'\"; drop table")
          assert.deepStrictEqual(row?.value, large)
        })))

    test("takes many commits at once and loses none", (at) =>
      opened(at, (journal) =>
        Effect.gen(function*() {
          yield* Effect.forEach(
            Array.from({ length: 50 }, (_, i) => i),
            (i) => journal.commit([put("events", String(i).padStart(3, "0"), bytes(i))]),
            { concurrency: "unbounded", discard: true }
          )
          assert.strictEqual((yield* journal.rows("events")).length, 50)
        })))

    test("has after a wipe, for good, nothing but what the device is known by, and is usable", (at) =>
      Effect.gen(function*() {
        yield* opened(at, (journal) =>
          Effect.gen(function*() {
            yield* journal.commit([put("assignments", "a", bytes(1), true), put("link", "b", bytes(2))])
            yield* journal.wipe
            assert.deepStrictEqual(yield* journal.rows("assignments"), [])
          }))
        yield* opened(at, (journal) =>
          Effect.gen(function*() {
            assert.deepStrictEqual(yield* journal.rows("assignments"), [])
            assert.deepStrictEqual(yield* journal.rows("link"), [{ key: "b", value: bytes(2) }])
            yield* journal.commit([put("pods", "n", bytes(3))])
            assert.deepStrictEqual(yield* journal.rows("pods"), [{ key: "n", value: bytes(3) }])
          }))
      }))
  })
}
