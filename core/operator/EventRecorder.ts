/**
 * Writes Kubernetes Events: in the background, in order, bounded. A name given by the caller makes a repeat meet
 * 409 AlreadyExists, which is success. Events are told once or, under pressure, not at all; they never hold anything up.
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
  /** What makes it unique for its object, lower-case letters, digits and dashes; chosen from the clock when absent. */
  readonly id?: string | undefined
  /** Milliseconds since the epoch; now when absent. */
  readonly at?: number | undefined
  /** The node that saw it. */
  readonly host?: string | undefined
}

/** Events that may wait to be written; the oldest give way. */
const waiting = 1024
/** Kubernetes cuts longer ones off with an error. */
const longestMessage = 1024

export class EventRecorder extends Context.Service<EventRecorder, {
  readonly record: (draft: EventDraft) => Effect.Effect<void>
}>()("aranya/operator/EventRecorder") {
  static readonly layer = Layer.effect(
    EventRecorder,
    Effect.gen(function*() {
      const api = yield* KubeApi
      const queue = yield* Queue.sliding<EventDraft>(waiting)
      const counter = yield* Ref.make(0)

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
        yield* api.create(KubeEvents, event)
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
