/** Commits to a journal until it is killed: batch n gives every row the number n; n is printed once the commit returned. */
import { Effect } from "effect"
import { make } from "../../../adapters/store/SqliteJournal.ts"
import type { Table } from "../../../core/agent/Journal.ts"

const [, , path = "", first = "0"] = process.argv
const tables: ReadonlyArray<Table> = ["assignments", "pods", "attempts", "reports"]

await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  const journal = yield* make({ path, deviceKey: new Uint8Array(32).fill(7) })
  for (let n = Number(first);; n++) {
    yield* journal.commit(tables.flatMap((table) =>
      Array.from({ length: 5 }, (_, row) => ({
        _tag: "Put" as const,
        table,
        key: `row-${row}`,
        value: new TextEncoder().encode(`${n}`.padEnd(3000, ".")),
        secret: row % 2 === 0
      }))
    ))
    process.stdout.write(`${n}\n`)
  }
})))
