/** A layer of the kubelet API that is shown inputs nobody should send, and what counts as a fault of it. */
import { type Effect, Schema } from "effect"
import type { Dice } from "./Dice.ts"

/** The layer crashed, hung, or took more than its share. */
export class Finding extends Schema.TaggedError<Finding>()("Finding", {
  what: Schema.String,
  /** Hexadecimal, the first 512 bytes. */
  input: Schema.String
}) {
  override get message() {
    return `${this.what}\n  input ${this.input}`
  }
}

export const finding = (what: string, input: Uint8Array) =>
  new Finding({ what, input: Buffer.from(input.subarray(0, 512)).toString("hex") })

export type LayerName = "spdy" | "websocket" | "http"

export interface FuzzedLayer {
  readonly name: LayerName
  /** How many inputs came to which end, for who wants to know how deep they went. */
  readonly ends: ReadonlyMap<string, number>
  /** Makes one input and shows it to what reads bytes first: cheap. */
  readonly glance: (dice: Dice) => Effect.Effect<Uint8Array, Finding>
  /** Makes one input, shows it to the whole layer in a session of its own, and waits until nothing that it began is left. */
  readonly attempt: (dice: Dice) => Effect.Effect<Uint8Array, Finding>
}

/** How long anything may take once its client has hung up; far above what a loaded machine needs. */
export const mostWait = "10 seconds"

export const makeEnds = () => {
  const ends = new Map<string, number>()
  return {
    ends: ends as ReadonlyMap<string, number>,
    count: (end: string) => {
      ends.set(end, (ends.get(end) ?? 0) + 1)
    }
  }
}
