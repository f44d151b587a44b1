/** The agent's journal in one SQLite file: write-ahead log, every commit synced, secrets sealed, one process at a time. */
import { Context, Effect, Layer } from "effect"
import * as fs from "node:fs"
import { dirname } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { type Change, Journal, JournalError, type Table } from "../../core/agent/Journal.ts"
import { derivedKey } from "./DeviceKeys.ts"
import { openRow, sealRow } from "./sealRow.ts"

export interface SqliteJournalOptions {
  /** Its folder is made with mode 0700 if absent. */
  readonly path: string
  /** The device's private key: rows are sealed with a key derived from it. */
  readonly deviceKey: Uint8Array
  /** Bytes the file may grow to; a commit beyond fails with `Full`. */
  readonly mostBytes?: number
}

const schemaVersion = 1
const defaultMostBytes = 256 * 1024 * 1024

/** Result codes of SQLite (https://sqlite.org/rescode.html); the low byte of an extended code. */
const code = { busy: 5, ioError: 10, corrupt: 11, full: 13, notADatabase: 26 } as const

const errorOf = (path: string) => (cause: unknown): JournalError => {
  if (cause instanceof JournalError) return cause
  const { errcode = 0, message } = cause as { errcode?: number; message?: string }
  const says = `${path}: ${message ?? String(cause)}`
  switch (errcode & 0xff) {
    case code.full:
      return new JournalError({ reason: "Full", detail: `${says}: free some space on this disk` })
    case code.busy:
      return new JournalError({ reason: "Broken", detail: `${says}: another arhat has it open` })
    case code.corrupt:
    case code.notADatabase:
      return damaged(path, message ?? "")
    default:
      return new JournalError({ reason: "Broken", detail: says })
  }
}

const damaged = (path: string, what: string) =>
  new JournalError({
    reason: "Broken",
    detail: `${path} is damaged (${what}): move it and its -wal file away and start again; ` +
      "running pods are adopted once the operator has assigned them anew"
  })

const open = ({ mostBytes = defaultMostBytes, path }: SqliteJournalOptions): DatabaseSync => {
  fs.mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  // SQLite gives its companion files the mode of this one.
  fs.closeSync(fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_NOFOLLOW, 0o600))
  fs.chmodSync(path, 0o600)
  const db = new DatabaseSync(path, { timeout: 5000 })
  try {
    db.exec(`
      pragma locking_mode = exclusive;
      pragma journal_mode = wal;
      pragma synchronous = full;
      pragma secure_delete = on;
      pragma wal_autocheckpoint = 256;
      pragma journal_size_limit = 1048576;
    `)
    const check = db.prepare("pragma quick_check(1)").get() as { quick_check: string }
    if (check.quick_check !== "ok") throw damaged(path, check.quick_check)
    const { page_size } = db.prepare("pragma page_size").get() as { page_size: number }
    db.exec(`pragma max_page_count = ${Math.max(16, Math.floor(mostBytes / page_size))}`)
    migrate(db, path)
    return db
  } catch (cause) {
    db.close()
    throw cause
  }
}

const migrate = (db: DatabaseSync, path: string): void => {
  db.exec("begin immediate")
  db.exec("create table if not exists schema (version integer not null)")
  const row = db.prepare("select version from schema").get() as { version: number } | undefined
  if (row === undefined) {
    db.exec(`
      create table entry (
        category text not null, key text not null, sealed integer not null, value blob not null,
        primary key (category, key)
      ) without rowid, strict;
      insert into schema (version) values (${schemaVersion});
    `)
  } else if (row.version !== schemaVersion) {
    throw new JournalError({
      reason: "Broken",
      detail:
        `${path} was written by another version of arhat (schema ${row.version}, this one knows ${schemaVersion}): ` +
        "install that version, or move the file away and start again"
    })
  }
  db.exec("commit")
}

export const make = Effect.fnUntraced(function*(options: SqliteJournalOptions) {
  const { deviceKey, path } = options
  const sealing = derivedKey(deviceKey, "journal rows")
  const attempt = <A>(work: () => A) => Effect.try({ try: work, catch: errorOf(path) })
  const db = yield* Effect.acquireRelease(attempt(() => open(options)), (db) => Effect.sync(() => db.close()))

  const select = db.prepare("select key, sealed, value from entry where category = ? order by key")
  const put = db.prepare(
    "insert into entry (category, key, sealed, value) values (?, ?, ?, ?) " +
      "on conflict do update set sealed = excluded.sealed, value = excluded.value"
  )
  const remove = db.prepare("delete from entry where category = ? and key = ?")

  const apply = (change: Change): void => {
    if (change._tag === "Remove") {
      remove.run(change.table, change.key)
      return
    }
    const { key, secret, table, value } = change
    put.run(table, key, secret ? 1 : 0, secret ? sealRow(sealing, table, key, value) : value)
  }

  const transaction = (work: () => void): void => {
    db.exec("begin immediate")
    try {
      work()
      db.exec("commit")
    } catch (cause) {
      // SQLite has rolled back by itself after some errors.
      if (db.isTransaction) db.exec("rollback")
      throw cause
    }
  }

  const rows = (table: Table) =>
    attempt(() =>
      (select.all(table) as Array<{ key: string; sealed: number; value: Uint8Array }>).map(({ key, sealed, value }) => {
        const plain = sealed === 0 ? value : openRow(sealing, table, key, value)
        if (plain !== undefined) return { key, value: plain }
        throw new JournalError({
          reason: "Broken",
          detail:
            `${path}: row ${key} of ${table} does not open with this device's key: restore the key it was written with`
        })
      })
    )

  return Journal.of({
    rows,
    commit: (changes) => changes.length === 0 ? Effect.void : attempt(() => transaction(() => changes.forEach(apply))),
    wipe: attempt(() => {
      // secure_delete overwrites rows with zeros; the checkpoint takes them out of the log, vacuum gives the pages back.
      transaction(() => db.exec("delete from entry where category <> 'link'"))
      db.exec("pragma wal_checkpoint(truncate)")
      db.exec("vacuum")
      db.exec("pragma wal_checkpoint(truncate)")
    })
  })
})

export const SqliteJournal = {
  /** Fails at start where the file is damaged, foreign or in use. */
  layer: (options: SqliteJournalOptions): Layer.Layer<Journal, JournalError> =>
    Layer.effectContext(Effect.map(make(options), (journal) => Context.make(Journal, journal)))
}
