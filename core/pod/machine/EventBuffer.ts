/** Pod events on their way to the reader: bounded, the oldest give way, and how many did is logged. */
import { Clock, Effect, Queue, Stream } from "effect"
import type { PodAssignment } from "../PodAssignment.ts"
import type { PodEvent } from "../PodReport.ts"

type Draft = Omit<PodEvent, "number">

/** What an event is about: the pod, or one container of it. */
export interface Subject {
  readonly assignment: PodAssignment
  /** Empty for the pod itself. */
  readonly container?: string
}

export interface EventBuffer {
  readonly emit: (
    subject: Subject,
    type: PodEvent["type"],
    reason: string,
    message: string
  ) => Effect.Effect<void>
  readonly events: Stream.Stream<Draft>
  /** How many were dropped since the start. */
  readonly dropped: () => number
}

const fieldPath = ({ assignment, container }: Subject): string =>
  container === undefined
    ? ""
    : assignment.initContainers.some(({ name }) => name === container)
    ? `spec.initContainers{${container}}`
    : assignment.ephemeralContainers.some(({ name }) => name === container)
    ? `spec.ephemeralContainers{${container}}`
    : `spec.containers{${container}}`

/** An Event's message may have 1024 bytes; longer ones are refused by the API. */
const mostMessage = 1024

export const makeEventBuffer = Effect.fnUntraced(function*(capacity: number) {
  const waiting: Array<Draft> = []
  const signal = yield* Queue.sliding<void>(1)
  let dropped = 0
  let untold = 0

  const next: Effect.Effect<Draft> = Effect.suspend(() => {
    const event = waiting.shift()
    if (event === undefined) return Effect.flatMap(Queue.take(signal), () => next)
    if (untold === 0) return Effect.succeed(event)
    const lost = untold
    untold = 0
    return Effect.as(Effect.logWarning(`${lost} pod events were dropped: nobody took them in time`), event)
  })

  const buffer: EventBuffer = {
    emit: (subject, type, reason, message) =>
      Effect.map(Clock.currentTimeMillis, (at) => {
        const { name, namespace, uid } = subject.assignment
        waiting.push({
          uid,
          namespace,
          name,
          fieldPath: fieldPath(subject),
          type,
          reason,
          message: message.slice(0, mostMessage),
          at
        })
        if (waiting.length > capacity) {
          waiting.shift()
          dropped += 1
          untold += 1
        }
        Queue.offerUnsafe(signal, undefined)
      }),
    events: Stream.fromEffectRepeat(next),
    dropped: () => dropped
  }
  return buffer
})
