/** What a device says about one pod: Kubernetes' own status shape, with times by the device's clock. */
import { Schema } from "effect"
import { PodStatus } from "../kube/Pod.ts"

export const PodReport = Schema.Struct({
  uid: Schema.String,
  namespace: Schema.String,
  name: Schema.String,
  /** Grows by one with each report of this pod; the outbox keeps only the newest. */
  number: Schema.Number,
  status: PodStatus,
  /** No container of the pod runs or can run any more, its volumes are gone: the API object may go. */
  finished: Schema.Boolean
})
export type PodReport = typeof PodReport.Type

/** An Event in the making; object names are derived from device and `number`, so that a resend meets 409. */
export const PodEvent = Schema.Struct({
  number: Schema.Number,
  uid: Schema.String,
  namespace: Schema.String,
  name: Schema.String,
  /** Empty for the pod itself; else `spec.containers{name}`, or that of another list. */
  fieldPath: Schema.String,
  type: Schema.Literals(["Normal", "Warning"]),
  reason: Schema.String,
  message: Schema.String,
  /** Milliseconds since the epoch by the device's clock. */
  at: Schema.Number
})
export type PodEvent = typeof PodEvent.Type
