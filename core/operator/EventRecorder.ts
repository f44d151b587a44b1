/**
 * Writes Kubernetes Events. What was said before is counted, not said again, as kubectl shows it: `3m (x12 over 40m)`. Our own are
 * written in the background, in order, bounded: told once or, under pressure, not at all, they never hold anything up. Those of
 * devices, which keep them, are written while their device waits.
 */
import { Clock, Context, Effect, Layer, Queue, Ref, Schedule, Semaphore } from "effect"
import { type KubeEvent, KubeEvents, type ObjectReference } from "../kube/kinds.ts"
import { KubeApi, type KubeApiError } from "../kube/KubeApi.ts"
import { timestamp } from "../kube/time.ts"
import { makeTurns } from "../link/makeTurns.ts"

export interface EventDraft {
  readonly about: ObjectReference
  readonly type: "Normal" | "Warning"
  readonly reason: string
  readonly message: string
  /**
   * What makes it unique for its object, lower-case letters, digits and dashes; chosen from the clock when absent. Told again
   * with the same id it is the same event: written once, counted once.
   */
  readonly id?: string | undefined
  /** Milliseconds since the epoch; now when absent. */
  readonly at?: number | undefined
  /** The node that saw it. */
  readonly host?: string | undefined
}

type Named = EventDraft & { readonly id: string; readonly at: number }

/** Events that may wait to be written; the oldest give way. */
const waiting = 1024
/** Events that are counted when they come again, and ids that are known; as many as client-go remembers. */
const remembered = 4096
/** Events of all devices that are written at a time. */
const atOnce = 8
/** An API server that begins anew is back by then; one that answers so to a single event must not hold up all others for ever. */
const again = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")]).pipe(
  Schedule.jittered,
  Schedule.upTo({ times: 10 })
)
/** Kubernetes cuts longer ones off with an error, as do newer Events with reasons. What devices say is remembered no longer either. */
const longest = { message: 1024, reason: 128, fieldPath: 512 }

const shortened = <A extends EventDraft>(draft: A): A => ({
  ...draft,
  about: draft.about.fieldPath === undefined
    ? draft.about
    : { ...draft.about, fieldPath: draft.about.fieldPath.slice(0, longest.fieldPath) },
  reason: draft.reason.slice(0, longest.reason),
  message: draft.message.slice(0, longest.message)
})

/** Keeps the newest entries. */
const remember = <A>(memory: Map<string, A>, key: string, value: A) => {
  memory.delete(key)
  memory.set(key, value)
  for (const oldest of memory.keys()) {
    if (memory.size <= remembered) return
    memory.delete(oldest)
  }
}

/** What is the same in an event and its repetition. */
const likeness = ({ about, host, message, reason, type }: EventDraft): string =>
  JSON.stringify([about.kind, about.namespace, about.name, about.uid, about.fieldPath, host, type, reason, message])

export class EventRecorder extends Context.Service<EventRecorder, {
  readonly record: (draft: EventDraft) => Effect.Effect<void>
  /**
   * Completes once it is written, or can never be, with whether the API server has answered to that just now. Fails where it may be
   * written later: whoever keeps it tells it again, with its id.
   */
  readonly write: (
    draft: EventDraft & { readonly id: string; readonly at: number }
  ) => Effect.Effect<boolean, KubeApiError>
}>()("aranya/operator/EventRecorder") {
  static readonly layer = Layer.effect(
    EventRecorder,
    Effect.gen(function*() {
      const api = yield* KubeApi
      const queue = yield* Queue.sliding<Named>(waiting)
      const counter = yield* Ref.make(0)
      /** The Event object of each likeness. */
      const written = new Map<string, { readonly name: string; readonly count: number }>()
      const ids = new Map<string, true>()

      /** What is said of one object is written one after the other. */
      const inTurn = makeTurns()
      const few = yield* Semaphore.make(atOnce)

      /** As it is when it happens: tried again it is the same event. */
      const named = Effect.fnUntraced(function*(draft: EventDraft): Effect.fn.Return<Named> {
        const at = draft.at ?? (yield* Clock.currentTimeMillis)
        const number = yield* Ref.getAndUpdate(counter, (n) => (n + 1) % 4096)
        return { ...draft, at, id: draft.id ?? `${at.toString(16)}${number.toString(16)}` }
      })

      const put = Effect.fnUntraced(function*(said: Named) {
        const draft = shortened(said)
        const { at, id } = draft
        const namespace = draft.about.namespace ?? "default"
        const event: KubeEvent = {
          apiVersion: "v1",
          kind: "Event",
          metadata: { name: `${(draft.about.name ?? "x").slice(0, 190)}.${id}`, namespace },
          involvedObject: draft.about,
          type: draft.type,
          reason: draft.reason,
          message: draft.message,
          source: { component: "aranya", ...(draft.host === undefined ? {} : { host: draft.host }) },
          reportingComponent: "arhat.dev/aranya",
          reportingInstance: draft.host ?? "aranya",
          firstTimestamp: timestamp(at),
          lastTimestamp: timestamp(at),
          count: 1
        }
        const { name = "" } = event.metadata
        const known = `${namespace}/${name}`
        if (ids.has(known)) return false
        const like = likeness(draft)
        const before = written.get(like)
        const count = (before?.count ?? 0) + 1
        const counted = before !== undefined && (yield* api.patch(KubeEvents, { namespace, name: before.name }, {
          type: "merge",
          body: { count, lastTimestamp: timestamp(at) }
        }).pipe(
          Effect.as(true),
          // It has expired, or may not be written to: what comes now begins anew.
          Effect.catch((error) => error.retryable ? Effect.fail(error) : Effect.succeed(false))
        ))
        if (counted) remember(written, like, { name: before.name, count })
        else {
          yield* api.create(KubeEvents, event)
          remember(written, like, { name, count: 1 })
        }
        remember(ids, known, true)
        return true
      })

      const write = (draft: Named, writing: Effect.Effect<boolean, KubeApiError>) =>
        inTurn(`${draft.about.namespace}/${draft.about.name}`, writing).pipe(
          Effect.catchIf((error) => !error.retryable, (error) =>
            // The namespace may be going away with its pods.
            Effect.as(error.reason === "AlreadyExists" ? Effect.void : notRecorded(draft, error), true))
        )
      const notRecorded = ({ about, reason }: EventDraft, error: KubeApiError) =>
        Effect.logDebug(`event ${reason} about ${about.name} was not recorded: ${error.message}`)

      yield* Queue.take(queue).pipe(
        Effect.flatMap((draft) =>
          write(draft, put(draft)).pipe(
            Effect.retry(again),
            Effect.catch((error) => notRecorded(draft, error))
          )
        ),
        Effect.forever,
        Effect.forkScoped
      )

      return EventRecorder.of({
        record: (draft) => Effect.flatMap(named(draft), (event) => Effect.asVoid(Queue.offer(queue, event))),
        write: (draft) => write(draft, few.withPermit(put(draft)))
      })
    })
  )
}
