/**
 * The journal's files as a power cut may leave them. It opens with a state that had been committed, with all of those
 * whose bytes had reached the disk, and works on.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync, statSync, writeFileSync } from "node:fs"
import { make } from "../../../adapters/store/SqliteJournal.ts"
import type { Change, Journal, JournalError, Table } from "../../../core/agent/Journal.ts"
import { temporaryInMemory } from "./temporary.ts"

const deviceKey = new Uint8Array(32).fill(7)
const tables: ReadonlyArray<Table> = ["assignments", "pods", "attempts", "reports", "events", "link"]

/** Bytes of the log's own header, of each frame's header, and of a page (https://sqlite.org/fileformat.html#walformat). */
const logHeader = 32
const frameHeader = 24
const page = 4096

/**
 * Each byte costs an open and a close of the journal, a millisecond or more: the headers and their surroundings are tried byte
 * by byte, what lies within pages in steps of a prime. `EVERY_BYTE=1` tries them all, which takes minutes.
 */
const everyByte = process.env["EVERY_BYTE"] !== undefined
const step = everyByte ? 1 : 509
const patience = everyByte ? 3_600_000 : 120_000
const cuts = (length: number): ReadonlyArray<number> =>
  Array.from({ length: length + 1 }, (_, at) => at).filter((at) =>
    at <= logHeader || at === length || at % step === 0 ||
    (at - logHeader + 2) % (frameHeader + page) <= frameHeader + 4
  )

/** Puts and removes in several tables, rows of a byte and rows that need pages of their own. */
const batch = (n: number): ReadonlyArray<Change> => [
  ...tables.slice(0, 2).map((table, index): Change => ({
    _tag: "Put",
    table,
    key: `row-${n % 3}`,
    value: new TextEncoder().encode(`${n}`.padEnd(index * 3000, ".")),
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

interface Files {
  readonly database: Uint8Array
  readonly log: Uint8Array
}

interface Committed {
  readonly state: string
  /** Bytes of the log once the commit had returned. */
  readonly logged: number
}

/** The files while the journal is open: a database of `before` batches, and a log of `after` more that no checkpoint has seen. */
const powerCut = (path: string, before: number, after: number) => {
  const opened = <A, E>(work: (journal: Journal["Service"]) => Effect.Effect<A, E>) =>
    Effect.scoped(Effect.flatMap(make({ path, deviceKey }), work))
  const range = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index)
  return Effect.gen(function*() {
    if (before > 0) {
      yield* opened((journal) => Effect.forEach(range(0, before), (n) => journal.commit(batch(n)), { discard: true }))
    }
    return yield* opened((journal) =>
      Effect.gen(function*() {
        const logged = () => statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0
        const commits: Array<Committed> = [{ state: yield* stateOf(journal), logged: logged() }]
        for (const n of range(before, after)) {
          yield* journal.commit(batch(n))
          commits.push({ state: yield* stateOf(journal), logged: logged() })
        }
        const files: Files = { database: readFileSync(path), log: readFileSync(`${path}-wal`) }
        return { commits, files }
      })
    )
  })
}

/** What is there after the journal was opened on such files, and that it goes on from there. */
const reopened = (path: string, { database, log }: Files) =>
  Effect.scoped(Effect.gen(function*() {
    writeFileSync(path, database)
    writeFileSync(`${path}-wal`, log)
    const journal = yield* make({ path, deviceKey })
    const found = yield* stateOf(journal)
    yield* journal.commit([{ _tag: "Put", table: "events", key: "next", value: Uint8Array.of(1), secret: true }])
    assert.strictEqual((yield* journal.rows("events")).length, 1)
    return found
  }))

/** Which commit the journal must hold: the newest whose whole log is the same in both, else what the database had. */
const intact = (commits: ReadonlyArray<Committed>, written: Uint8Array, left: Uint8Array): number =>
  Math.max(
    0,
    commits.findLastIndex(({ logged }) => Buffer.compare(written.subarray(0, logged), left.subarray(0, logged)) === 0)
  )

const damages = {
  "cut off": (log: Uint8Array, at: number) => log.subarray(0, at),
  zeros: (log: Uint8Array, at: number) => Uint8Array.from(log).fill(0, at)
}

describe("a journal torn by a power cut", () => {
  for (const [how, damaged] of Object.entries(damages)) {
    for (const [what, before] of [["its first log", 0], ["a log after a checkpoint", 2]] as const) {
      it.live(`holds what was committed up to any byte from which ${what} is ${how}`, () =>
        Effect.gen(function*() {
          const directory = yield* temporaryInMemory
          const { commits, files } = yield* powerCut(`${directory}/written.db`, before, 3)
          assert.isAbove(new Set(commits.map(({ logged }) => logged)).size, 3, "each commit adds to the log")
          for (const at of cuts(files.log.length)) {
            const log = damaged(files.log, at)
            const found = yield* reopened(`${directory}/torn.db`, { database: files.database, log })
            assert.strictEqual(
              commits.findIndex(({ state }) => state === found),
              intact(commits, files.log, log),
              `byte ${at} of ${files.log.length}`
            )
          }
        }), patience)
    }
  }

  it.live("holds everything when the checkpoint stops at any byte of the database", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryInMemory
      const { commits, files } = yield* powerCut(`${directory}/written.db`, 2, 3)
      // Closing it has taken the log in.
      const complete = readFileSync(`${directory}/written.db`)
      assert.notStrictEqual(Buffer.compare(complete, files.database), 0)
      for (const at of cuts(complete.length)) {
        const database = Buffer.concat([complete.subarray(0, at), files.database.subarray(at)])
        const found = yield* reopened(`${directory}/torn.db`, { database, log: files.log })
        assert.isTrue(found === commits.at(-1)?.state, `byte ${at} of ${complete.length}`)
      }
    }), patience)
})
