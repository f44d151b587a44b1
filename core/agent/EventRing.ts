/**
 * Pod events that the operator has not taken yet: a bounded ring in the journal (never a log: a flapping pod must not fill a
 * disk). A number is never used twice in the life of a journal, so that the operator can name Event objects after it.
 */
import { Context, Effect, Layer, Queue } from "effect"
import type { PodEvent } from "../pod/PodReport.ts"
import { decodeEvent, encodeEvent } from "../wire/Event.ts"
import { type Change, Journal } from "./Journal.ts"

/** Events kept while the operator is away; the oldest give way. */
export const ringSize = 256

/** Sorts as the numbers do. */
const key = (number: number) => number.toString(16).padStart(12, "0")
const counterKey = "next-event-number"

const encodeNumber = (number: number) => new TextEncoder().encode(String(number))

export class EventRing extends Context.Service<EventRing, {
  /** Durable before it returns. */
  readonly add: (events: ReadonlyArray<Omit<PodEvent, "number">>) => Effect.Effect<void>
  /** Up to `limit` of the oldest; waits until there is one. */
  readonly oldest: (limit: number) => Effect.Effect<ReadonlyArray<PodEvent>>
  /** The operator has them: they are forgotten. */
  readonly taken: (events: ReadonlyArray<PodEvent>) => Effect.Effect<void>
}>()("aranya/agent/EventRing") {
  static readonly layer = Layer.effect(
    EventRing,
    Effect.gen(function*() {
      const journal = yield* Journal
      const arrived = yield* Queue.sliding<void>(1)
      const ring: Array<PodEvent> = []

      for (const row of yield* journal.rows("events")) {
        const event = yield* Effect.option(decodeEvent(row.value))
        if (event._tag === "Some" && event.value._tag === "PodEvents") ring.push(...event.value.events)
      }
      const counter = (yield* journal.rows("link")).find((row) => row.key === counterKey)
      let next = Math.max(
        counter === undefined ? 1 : Number(new TextDecoder().decode(counter.value)) || 1,
        (ring.at(-1)?.number ?? 0) + 1
      )
      if (ring.length > 0) yield* Queue.offer(arrived, undefined)

      const remove = (event: PodEvent): Change => ({ _tag: "Remove", table: "events", key: key(event.number) })

      const add = Effect.fnUntraced(function*(drafts: ReadonlyArray<Omit<PodEvent, "number">>) {
        const events = drafts.slice(-ringSize).map((draft) => ({ ...draft, number: next++ }))
        if (events.length === 0) return
        ring.push(...events)
        const dropped = ring.splice(0, Math.max(0, ring.length - ringSize))
        const changes: Array<Change> = [
          ...dropped.map(remove),
          ...(yield* Effect.forEach(
            events,
            (event) =>
              Effect.map(encodeEvent({ _tag: "PodEvents", events: [event] }), (value): Change => ({
                _tag: "Put",
                table: "events",
                key: key(event.number),
                value,
                secret: false
              }))
          )),
          { _tag: "Put", table: "link", key: counterKey, value: encodeNumber(next), secret: false }
        ]
        yield* journal.commit(changes)
      })

      const addOrKeepInMemory = (drafts: ReadonlyArray<Omit<PodEvent, "number">>) =>
        add(drafts).pipe(
          // Events are worth less than the disk they need: without space they live in memory only.
          Effect.catch((error) => Effect.logWarning(`events are kept in memory only: ${error.message}`)),
          Effect.andThen(Queue.offer(arrived, undefined)),
          Effect.asVoid
        )

      const oldest = Effect.fnUntraced(function*(limit: number) {
        while (ring.length === 0) yield* Queue.take(arrived)
        return ring.slice(0, limit)
      })

      const taken = Effect.fnUntraced(function*(events: ReadonlyArray<PodEvent>) {
        const numbers = new Set(events.map((event) => event.number))
        for (let i = ring.length - 1; i >= 0; i--) if (numbers.has(ring[i]!.number)) ring.splice(i, 1)
        yield* journal.commit(events.map(remove)).pipe(
          Effect.catch((error) => Effect.logWarning(`taken events stay in the journal: ${error.message}`))
        )
      })

      return EventRing.of({ add: addOrKeepInMemory, oldest, taken })
    })
  )
}
