/** A row of the table of verbs, and the cell in which one kubectl tries it on one device. */
import type { Effect, Scope } from "effect"
import type { Client, Column } from "./Column.ts"

export interface Cell {
  readonly column: Column
  readonly client: Client
  /** Which of the column's clients it is. */
  readonly index: number
  /** A folder of this cell alone. */
  readonly folder: string
}

export interface Row {
  readonly verb: string
  readonly shows: string
  /** Why it is not tried there; undefined where it is. */
  readonly not?: (column: Column, client: Client) => string | undefined
  /** It takes long, and tells nothing of the API server. */
  readonly lasts?: boolean
  /** One kubectl after the other: together they would be more than one device is meant for. */
  readonly inTurn?: boolean
  readonly does: (cell: Cell) => Effect.Effect<unknown, { readonly message: string }, Scope.Scope>
}
