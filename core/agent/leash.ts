/**
 * How long workloads may run without a word of the operator (`spec.partition.stopWorkloadsAfter`), as the journal keeps it.
 * Time is the monotonic clock's of one boot. What passed while the machine was off nobody knows: a wall clock that may have lost
 * its battery is no witness. So a leash of another boot is over, and workloads wait for the operator.
 */
import { create } from "@bufbuild/protobuf"
import { Effect, Option } from "effect"
import { LeashRowSchema } from "../gen/aranya/device/v1/journal_pb.ts"
import { count, decoding, encoding, long } from "../wire/message.ts"
import { type Change, Journal } from "./Journal.ts"

export interface Leash {
  /** Milliseconds. */
  readonly stopAfter: number
  /**
   * Monotonic milliseconds: when the newest thing left this device of which it knows that the operator has it. Undefined where
   * this boot knows of none.
   */
  readonly acknowledged: number | undefined
}

const key = "leash"
const rowLimit = 1024

const encode = encoding(LeashRowSchema, {
  subject: "Leash",
  limit: rowLimit,
  message: (leash: { readonly stopAfter: number; readonly acknowledged: number; readonly bootId: string }) =>
    create(LeashRowSchema, {
      stopAfter: long(leash.stopAfter),
      acknowledged: long(leash.acknowledged),
      bootId: leash.bootId
    })
})

const decode = decoding(LeashRowSchema, {
  subject: "Leash",
  limit: rowLimit,
  value: (row) => ({ stopAfter: count(row.stopAfter), acknowledged: count(row.acknowledged), bootId: row.bootId })
})

/** Undefined: workloads run whether the operator is there or not. A row that cannot be read holds them until it is. */
export const readLeash = Effect.fnUntraced(function*(bootId: string) {
  const journal = yield* Journal
  const row = (yield* journal.rows("link")).find((each) => each.key === key)
  if (row === undefined) return undefined
  const read = yield* Effect.option(decode(row.value))
  if (Option.isNone(read)) return { stopAfter: 0, acknowledged: undefined } satisfies Leash
  const { acknowledged, bootId: written, stopAfter } = read.value
  return { stopAfter, acknowledged: written === bootId ? acknowledged : undefined } satisfies Leash
})

export const leashRow = (leash: Leash | undefined, bootId: string): Effect.Effect<Change> =>
  leash === undefined
    ? Effect.succeed({ _tag: "Remove", table: "link", key })
    : encode({
      stopAfter: leash.stopAfter,
      // A row of no boot is over in any.
      acknowledged: Math.max(0, Math.floor(leash.acknowledged ?? 0)),
      bootId: leash.acknowledged === undefined ? "" : bootId
    }).pipe(Effect.orDie, Effect.map((value): Change => ({ _tag: "Put", table: "link", key, value, secret: false })))

/** Whether workloads have to rest. */
export const isOver = (leash: Leash | undefined, now: number): boolean =>
  leash !== undefined && (leash.acknowledged === undefined || now - leash.acknowledged >= leash.stopAfter)

/** Of an agent that can be kept on one; with `=MILLISECONDS` where it is. */
export const leashCapability = "leash"

/**
 * What a device said of its leash when it linked: undefined where its agent knows of none, 0 where it is on none, else milliseconds.
 * One that it could not read (`leash=0`) is like none that a policy asks for: it has to be told.
 */
export const leashOf = (capabilities: ReadonlyArray<string>): number | undefined => {
  for (const capability of capabilities) {
    if (capability === leashCapability) return 0
    const millis = capability.startsWith(`${leashCapability}=`)
      ? Number(capability.slice(leashCapability.length + 1))
      : NaN
    if (Number.isSafeInteger(millis) && millis >= 0) return millis === 0 ? Infinity : millis
  }
  return undefined
}
