/**
 * The write-ahead log as a power cut may leave it: cut off at any byte, or of full length with zeros where nothing had
 * reached the disk yet. Either way the journal opens with a state that had been committed, and works on.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { make } from "../../../adapters/store/SqliteJournal.ts"
import type { Change, Journal, JournalError, Table } from "../../../core/agent/Journal.ts"
import { temporary } from "./temporary.ts"

const deviceKey = new Uint8Array(32).fill(7)
const tables: ReadonlyArray<Table> = ["assignments", "pods", "attempts", "reports", "events", "link"]

/** Bytes of the log's own header, of each frame's header, and of a page (https://sqlite.org/fileformat.html#walformat). */
const logHeader = 32
const frameHeader = 24
const page = 4096

/** Puts and removes across tables, from rows of a few bytes to rows that need pages of their own. */
const batch = (n: number): ReadonlyArray<Change> => [
  ...tables.slice(0, 4).map((table, index): Change => ({
    _tag: "Put",
    table,
    key: `row-${n % 3}`,
    value: new TextEncoder().encode(`${n}`.padEnd(index * 700, ".")),
    secret: index % 2 === 0
  })),
  n % 2 === 0
    ? { _tag: "Remove", table: "pods", key: `row-${(n + 1) % 3}` }
    : { _tag: "Put", table: "link", key: `n-${n}`, value: Uint8Array.of(n), secret: false }
]

const stateOf = (journal: Journal["Service"]): Effect.Effect<string, JournalError> =>
  Effect.map(
    Effect.forEach(tables, (table) => journal.rows(table)),
    (all) => JSON.stringify(all.map((rows) => rows.map(({ key, value }) => [key, Buffer.from(value).toString()])))
  )

interface Cut {
  readonly database: Uint8Array
  readonly log: Uint8Array
  /** What had been committed, oldest first; the first is what the database file holds without its log. */
  readonly states: ReadonlyArray<string>
}

/** A database of two batches, and a log of `batches` more that no checkpoint has taken in: power fails while it is open. */
const powerCut = (directory: string, before: number, batches: number) =>
  Effect.gen(function*() {
    const path = `${directory}/journal.db`
    if (before > 0) {
      yield* Effect.scoped(Effect.flatMap(make({ path, deviceKey }), (journal) =>
        Effect.forEach(Array.from({ length: before }, (_, n) => n), (n) => journal.commit(batch(n)), { discard: true })))
    }
    return yield* Effect.scoped(Effect.gen(function*() {
      const journal = yield* make({ path, deviceKey })
      const states = [yield* stateOf(journal)]
      for (let n = before; n < before + batches; n++) {
        yield* journal.commit(batch(n))
        states.push(yield* stateOf(journal))
      }
      const cut: Cut = { database: readFileSync(path), log: readFileSync(`${path}-wal`), states }
      return cut
    }))
  })

/** Which of the committed states is found after the log was left so; it must be one, and take a further commit. */
const reopened = (directory: string, { database, states }: Cut, log: Uint8Array) =>
  Effect.scoped(Effect.gen(function*() {
    const path = `${directory}/journal.db`
    writeFileSync(path, database)
    writeFileSync(`${path}-wal`, log)
    const journal = yield* make({ path, deviceKey })
    const found = states.indexOf(yield* stateOf(journal))
    return { found, journal }
  }))
