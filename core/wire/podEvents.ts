/** Events in the making, on the wire and (one alone) in the journal. */
import { create } from "@bufbuild/protobuf"
import {
  type PodEvent as Message,
  type PodEvents,
  PodEventSchema,
  PodEventsSchema
} from "../gen/aranya/wire/v1/report_pb.ts"
import type { PodEvent } from "../pod/PodReport.ts"
import { placeOf, uidFields, uidOf } from "./identity.ts"
import { limits } from "./limits.ts"
import { bounded, count, decoding, encoding, long } from "./message.ts"

const eventMessage = (event: PodEvent, base: number): Message =>
  create(PodEventSchema, {
    ...uidFields(event.uid),
    number: long(event.number),
    namespace: event.namespace,
    name: event.name,
    fieldPath: event.fieldPath,
    warning: event.type === "Warning",
    reason: event.reason,
    message: event.message,
    at: long(event.at - base)
  })

const eventValue = (event: Message, base: bigint): PodEvent => ({
  number: count(event.number),
  uid: uidOf(event),
  ...placeOf(event),
  fieldPath: event.fieldPath,
  type: event.warning ? "Warning" : "Normal",
  reason: event.reason,
  message: event.message,
  at: count(base + event.at)
})

export const eventsMessage = (events: ReadonlyArray<PodEvent>): PodEvents => {
  const base = events[0]?.at ?? 0
  return create(PodEventsSchema, { base: long(base), events: events.map((event) => eventMessage(event, base)) })
}

export const eventsValue = ({ base, events }: PodEvents): ReadonlyArray<PodEvent> =>
  bounded(events, limits.parts).map((event) => eventValue(event, base))

/** For the journal: one event by itself. */
export const encodePodEvent = encoding(PodEventSchema, {
  subject: "PodEvent",
  limit: limits.event,
  message: (event: PodEvent) => eventMessage(event, 0)
})

export const decodePodEvent = decoding(PodEventSchema, {
  subject: "PodEvent",
  limit: limits.event,
  value: (event) => eventValue(event, 0n)
})
