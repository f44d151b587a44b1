/**
 * The port to the agent's durable memory: rows of bytes in named tables, changed in atomic, synced batches.
 * What the rows mean is the owner's business (protobuf of core/wire); sealing secret rows is the adapter's.
 */
import { Context, type Effect, Schema } from "effect"

/** `Full`: no space left; nothing of the batch was kept. `Broken`: the disk or the file is damaged. */
export class JournalError extends Schema.TaggedError<JournalError>()("JournalError", {
  reason: Schema.Literals(["Full", "Broken"]),
  detail: Schema.String
}) {
  override get message() {
    return `journal: ${this.detail}`
  }
}

export type Table = "assignments" | "pods" | "attempts" | "reports" | "events" | "link"

export type Change =
  | {
    readonly _tag: "Put"
    readonly table: Table
    readonly key: string
    readonly value: Uint8Array
    /** Holds secrets: sealed with the device's key. */
    readonly secret: boolean
  }
  | { readonly _tag: "Remove"; readonly table: Table; readonly key: string }

export class Journal extends Context.Service<Journal, {
  /** All rows of a table, in key order. */
  readonly rows: (
    table: Table
  ) => Effect.Effect<ReadonlyArray<{ readonly key: string; readonly value: Uint8Array }>, JournalError>
  /** All or nothing, and on the disk (synchronous=FULL) before it returns. */
  readonly commit: (changes: ReadonlyArray<Change>) => Effect.Effect<void, JournalError>
  /**
   * Removes all pods and what was noted of them, secrets beyond recovery as far as the disk allows: the device was deleted from its
   * cluster. Table `link` stays: the next EdgeDevice of its name may let the device in meanwhile, and knows it by what is in there.
   */
  readonly wipe: Effect.Effect<void, JournalError>
}>()("aranya/agent/Journal") {}
