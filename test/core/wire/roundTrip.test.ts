import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { PodAssignment } from "../../../core/pod/PodAssignment.ts"
import { PodEvent, PodReport } from "../../../core/pod/PodReport.ts"
import { decodeAssignment, encodeAssignment } from "../../../core/wire/assignment.ts"
import { Command, decodeCommand, encodeCommand } from "../../../core/wire/Command.ts"
import { decodeEvent, encodeEvent, Event } from "../../../core/wire/Event.ts"
import { decodePodEvent, encodePodEvent } from "../../../core/wire/podEvents.ts"
import { decodePodReport, encodePodReport } from "../../../core/wire/podReport.ts"
import { decodeProcessMessage, encodeProcessMessage, ProcessMessage } from "../../../core/wire/ProcessMessage.ts"
import { decodeReply, encodeReply, Reply } from "../../../core/wire/Reply.ts"
import { decodeStreamOpening, encodeStreamOpening, StreamOpening } from "../../../core/wire/StreamOpening.ts"
import type { WireError } from "../../../core/wire/WireError.ts"
import { assignment, crashed, events, nodeReport, report } from "./samples.ts"
import { wireShaped } from "./wireShaped.ts"

const same = <A>(
  value: A,
  encode: (value: A) => Effect.Effect<Uint8Array, WireError>,
  decode: (bytes: Uint8Array) => Effect.Effect<A, WireError>
) =>
  Effect.gen(function*() {
    const bytes = yield* encode(value)
    const again = yield* decode(bytes)
    assert.deepStrictEqual(again, value)
    assert.deepStrictEqual(yield* encode(again), bytes)
  })

const property = <A>(
  name: string,
  schema: Schema.Schema<A>,
  encode: (value: A) => Effect.Effect<Uint8Array, WireError>,
  decode: (bytes: Uint8Array) => Effect.Effect<A, WireError>
) =>
  it.effect.prop(
    `gives back any ${name}`,
    { value: schema },
    ({ value }) => same(wireShaped(value as A), encode, decode),
    { arbitrary: { runs: 300 } }
  )

describe("the wire", () => {
  it.effect("gives back a pod assignment", () => same(assignment, encodeAssignment, decodeAssignment))
  it.effect("gives back reports of a running and of a crashed pod", () =>
    Effect.gen(function*() {
      yield* same(report, encodePodReport, decodePodReport)
      yield* same(crashed, encodePodReport, decodePodReport)
    }))
  it.effect("gives back events out of order of time", () =>
    same<Event>({ _tag: "PodEvents", events }, encodeEvent, decodeEvent))
  it.effect("gives back a node report", () =>
    same<Event>({ _tag: "NodeReport", report: nodeReport }, encodeEvent, decodeEvent))
  it.effect("keeps labels named like parts of an object's prototype", () =>
    same(
      { ...assignment, labels: Object.fromEntries([["__proto__", "a"], ["constructor", "b"]]) },
      encodeAssignment,
      decodeAssignment
    ))

  it.effect("bounds a grace, which the API does not", () =>
    Effect.gen(function*() {
      const graceSeconds = Number("9223372036854775807")
      const bytes = yield* encodeCommand({ _tag: "RemovePod", uid: assignment.uid, graceSeconds })
      assert.deepInclude(yield* decodeCommand(bytes), { graceSeconds: 2 ** 31 - 1 })
    }))

  property("assignment", PodAssignment, encodeAssignment, decodeAssignment)
  property("report", PodReport, encodePodReport, decodePodReport)
  property("pod event", PodEvent, encodePodEvent, decodePodEvent)
  property("command", Command, encodeCommand, decodeCommand)
  property("event", Event, encodeEvent, decodeEvent)
  property("stream opening", StreamOpening, encodeStreamOpening, decodeStreamOpening)
  property("process message", ProcessMessage, encodeProcessMessage, decodeProcessMessage)
  it.effect.prop(
    "gives back any reply, what is held sorted by uid",
    { reply: Reply },
    ({ reply: generated }) =>
      Effect.gen(function*() {
        const reply = wireShaped(generated)
        const expected = reply._tag === "Held" ?
          { ...reply, pods: reply.pods.toSorted((a, b) => a.uid < b.uid ? -1 : a.uid > b.uid ? 1 : 0) } :
          reply
        assert.deepStrictEqual(yield* Effect.flatMap(encodeReply(reply), decodeReply), expected)
      })
  )

  it.effect("cuts parts of seconds off Kubernetes' times, in any zone, and takes null for absent", () =>
    Effect.gen(function*() {
      const bytes = yield* encodePodReport({
        ...report,
        status: {
          startTime: "2026-11-21T01:00:00.987654321+02:00",
          conditions: [{
            type: "Ready",
            status: "Unknown",
            lastProbeTime: null,
            lastTransitionTime: "1969-12-31T23:59:58Z"
          }]
        }
      })
      assert.deepStrictEqual((yield* decodePodReport(bytes)).status, {
        startTime: "2026-11-20T23:00:00Z",
        conditions: [{ type: "Ready", status: "Unknown", lastTransitionTime: "1969-12-31T23:59:58Z" }]
      })
    }))

  it.effect("refuses to write what the wire cannot say, and names it", () =>
    Effect.gen(function*() {
      const fraction = yield* Effect.flip(encodeAssignment({ ...assignment, terminationGracePeriodSeconds: 1.5 }))
      assert.strictEqual(fraction.message, "PodAssignment: 1.5 is not a whole number")
      const time = yield* Effect.flip(encodePodReport({ ...report, status: { startTime: "yesterday" } }))
      assert.strictEqual(time.message, "PodReport: \"yesterday\" is no RFC 3339 time")
    }))
})
