import { Effect } from "effect"
import { mkdirSync } from "node:fs"
import { NotAsExpected } from "../Line.ts"
import type { Column } from "./Column.ts"
import type { Row } from "./Row.ts"
import { rows } from "./rows.ts"

/** Tries one row with all kubectls of a column at once. */
export const tryRow = Effect.fnUntraced(function*(row: Row, column: Column, folder: string) {
  const tried = column.clients.flatMap((client, index) =>
    row.not?.(column, client) === undefined ? [{ client, index }] : []
  )
  yield* Effect.forEach(
    tried,
    ({ client, index }) => {
      const own = `${folder}/${column.name}-${rows.indexOf(row)}-${index}`
      mkdirSync(own, { recursive: true })
      return Effect.scoped(row.does({ column, client, index, folder: own })).pipe(
        Effect.mapError((error) => new NotAsExpected({ what: `by ${client.name}`, seen: error.message })),
        Effect.catchDefect((defect) => {
          // An assertion that fails says with which kubectl.
          if (defect instanceof Error) defect.message = `by ${client.name}: ${defect.message}`
          return Effect.die(defect)
        })
      )
    },
    { concurrency: row.inTurn === true ? 1 : "unbounded", discard: true }
  )
  return tried.length
})
