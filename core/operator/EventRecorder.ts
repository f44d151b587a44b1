/**
 * Writes Kubernetes Events: in the background, in order, bounded. What was said before is counted, not said again, as kubectl
 * shows it: `3m (x12 over 40m)`. Events are told once or, under pressure, not at all; they never hold anything up.
 */
import { Clock, Context, Effect, Layer, Queue, Ref } from "effect"
import { type KubeEvent, KubeEvents, type ObjectReference } from "../kube/kinds.ts"
import { KubeApi } from "../kube/KubeApi.ts"
import { timestamp } from "../kube/time.ts"

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

/** Events that may wait to be written; the oldest give way. */
const waiting = 1024
/** Events that are counted when they come again, and ids that are known; as many as client-go remembers. */
const remembered = 4096
/** Kubernetes cuts longer ones off with an error. */
const longestMessage = 1024

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
}>()("aranya/operator/EventRecorder") {
  static readonly layer = Layer.effect(
    EventRecorder,
    Effect.gen(function*() {
      const api = yield* KubeApi
      const queue = yield* Queue.sliding<EventDraft>(waiting)
      const counter = yield* Ref.make(0)
      /** The Event object of each likeness. */
      const written = new Map<string, { readonly name: string; readonly count: number }>()
      const ids = new Map<string, true>()

      const write = Effect.fnUntraced(function*(draft: EventDraft) {
        const at = draft.at ?? (yield* Clock.currentTimeMillis)
        const id = draft.id ??
          `${at.toString(16)}${(yield* Ref.getAndUpdate(counter, (n) => (n + 1) % 4096)).toString(16)}`
        const namespace = draft.about.namespace ?? "default"
        const event: KubeEvent = {
          apiVersion: "v1",
          kind: "Event",
          metadata: { name: `${(draft.about.name ?? "x").slice(0, 190)}.${id}`, namespace },
          involvedObject: draft.about,
          type: draft.type,
          reason: draft.reason,
          message: draft.message.slice(0, longestMessage),
          source: { component: "aranya", ...(draft.host === undefined ? {} : { host: draft.host }) },
          reportingComponent: "arhat.dev/aranya",
          reportingInstance: draft.host ?? "aranya",
          firstTimestamp: timestamp(at),
          lastTimestamp: timestamp(at),
          count: 1
        }
        const { name = "" } = event.metadata
        const known = `${namespace}/${name}`
        if (ids.has(known)) return
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
      })

      yield* Queue.take(queue).pipe(
        Effect.flatMap((draft) =>
          write(draft).pipe(
            Effect.retry({ while: (error) => error.retryable, times: 3 }),
            Effect.catch((error) =>
              error.reason === "AlreadyExists"
                ? Effect.void
                // The namespace may be going away with its pods.
                : Effect.logDebug(`event ${draft.reason} about ${draft.about.name} was not recorded: ${error.message}`)
            )
          )
        ),
        Effect.forever,
        Effect.forkScoped
      )

      return EventRecorder.of({ record: (draft) => Effect.asVoid(Queue.offer(queue, draft)) })
    })
  )
}
