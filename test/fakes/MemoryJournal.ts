/** A journal in memory: can be full or broken for a while, forgets unsynced writes when the device loses power, and keeps a diary. */
import { Context, Effect, Layer } from "effect"
import { type Change, Journal, JournalError, type Table } from "../../core/agent/Journal.ts"
import { worldMillis } from "./worldClock.ts"

export class MemoryJournal extends Context.Service<MemoryJournal, {
  /** The next `times` commits fail; for ever unless told. */
  readonly fail: (reason: "Full" | "Broken", times?: number) => Effect.Effect<void>
  readonly heal: Effect.Effect<void>
  /** Commits from here on are lost by `crash`, as on a disk that lies about having written. */
  readonly stopSyncing: Effect.Effect<void>
  /** Power fails: back to the last commit that was synced. */
  readonly crash: Effect.Effect<void>
  /** Called before each commit takes effect. */
  readonly intercept: (before: Effect.Effect<void>) => Effect.Effect<void>
  /** `put attempts u/app` and the like, in order; failed ones are marked. */
  readonly diary: Effect.Effect<ReadonlyArray<string>>
  /** The diary, each line with the second it was written in: `12.5s put attempts u/app`. */
  readonly stamped: Effect.Effect<ReadonlyArray<string>>
  /** Whether there is such a row now, also while the disk is broken. */
  readonly has: (table: Table, key: string) => Effect.Effect<boolean>
  /** What it was asked for and did not do, by the world's clock. */
  readonly refusals: Effect.Effect<ReadonlyArray<{ readonly at: number; readonly words: string }>>
  /** Rows marked secret now, as `table/key`. */
  readonly secrets: Effect.Effect<ReadonlyArray<string>>
}>()("test/MemoryJournal") {
  static readonly layer: Layer.Layer<Journal | MemoryJournal> = Layer.effectContext(Effect.sync(() => make()))
}

interface Row {
  readonly table: Table
  readonly key: string
  readonly value: Uint8Array
  readonly secret: boolean
}

const idOf = (table: Table, key: string) => `${table}\u0000${key}`

const make = () => {
  let rows: ReadonlyMap<string, Row> = new Map()
  let synced = rows
  let syncing = true
  let failing: { readonly reason: "Full" | "Broken"; left: number } | undefined
  let before: Effect.Effect<void> = Effect.void
  const diary: Array<{ readonly at: number; readonly words: string }> = []
  const refusals: Array<{ readonly at: number; readonly words: string }> = []
  const note = (words: string) => Effect.map(worldMillis, (at) => void diary.push({ at, words }))

  const applied = (changes: ReadonlyArray<Change>): ReadonlyMap<string, Row> => {
    const next = new Map(rows)
    for (const change of changes) {
      const id = idOf(change.table, change.key)
      if (change._tag === "Remove") next.delete(id)
      else next.set(id, { ...change, value: change.value.slice() })
    }
    return next
  }

  const write = Effect.fnUntraced(function*(words: string, next: () => ReadonlyMap<string, Row>) {
    yield* before
    if (failing !== undefined && failing.left > 0) {
      failing.left -= 1
      const { reason } = failing
      yield* note(`${words} (${reason})`)
      refusals.push({ at: yield* worldMillis, words })
      return yield* new JournalError({ reason, detail: "as the test planned" })
    }
    yield* note(words)
    rows = next()
    if (syncing) synced = rows
  })

  const commit = (changes: ReadonlyArray<Change>) =>
    write(
      changes.map(({ _tag, key, table }) => `${_tag.toLowerCase()} ${table} ${key}`).join(", "),
      () => applied(changes)
    )

  const journal = Journal.of({
    rows: (table) =>
      Effect.suspend(() =>
        failing?.reason === "Broken" && failing.left > 0
          ? Effect.fail(new JournalError({ reason: "Broken", detail: "as the test planned" }))
          : Effect.succeed(
            [...rows.values()].filter((row) => row.table === table)
              .sort((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
              .map(({ key, value }) => ({ key, value: value.slice() }))
          )
      ),
    commit,
    wipe: write("wipe", () => new Map([...rows].filter(([, { table }]) => table === "link")))
  })

  const controls = MemoryJournal.of({
    fail: (reason, times = Number.POSITIVE_INFINITY) =>
      Effect.sync(() => {
        failing = { reason, left: times }
      }),
    heal: Effect.sync(() => {
      failing = undefined
    }),
    stopSyncing: Effect.sync(() => {
      syncing = false
    }),
    crash: Effect.sync(() => {
      rows = synced
      syncing = true
    }),
    intercept: (effect) =>
      Effect.sync(() => {
        before = effect
      }),
    diary: Effect.sync(() => diary.map(({ words }) => words)),
    stamped: Effect.sync(() => diary.map(({ at, words }) => `${at / 1000}s ${words}`)),
    refusals: Effect.sync(() => [...refusals]),
    has: (table, key) => Effect.sync(() => rows.has(idOf(table, key))),
    secrets: Effect.sync(() =>
      [...rows.values()].filter(({ secret }) => secret).map(({ key, table }) => `${table}/${key}`)
    )
  })

  return Context.make(Journal, journal).pipe(Context.add(MemoryJournal, controls))
}
