/** What a device tells its operator: changes only. Each is answered with a `Reply` once the operator has acted on it. */
import { create, type MessageInitShape } from "@bufbuild/protobuf"
import { Schema } from "effect"
import { HostInfo, HostPressure } from "../agent/HostFacts.ts"
import { type Event as Message, EventSchema, type NodeReport as NodeMessage } from "../gen/aranya/wire/v1/message_pb.ts"
import { PodEvent, PodReport } from "../pod/PodReport.ts"
import { uidFields, uidOf } from "./identity.ts"
import { limits } from "./limits.ts"
import { bounded, count, decoding, encoding, long, reject } from "./message.ts"
import { eventsMessage, eventsValue } from "./podEvents.ts"
import { reportMessage, reportValue } from "./podReport.ts"

/** The device itself; sent once per session and when it changes. */
export const NodeReport = Schema.Struct({
  host: HostInfo,
  pressure: HostPressure,
  /** Of containers: `docker` and its version. */
  runtime: Schema.Struct({ name: Schema.String, version: Schema.String }),
  agentVersion: Schema.String,
  /** Workloads rest until the operator allows them: it was not heard for as long as it had allowed. */
  resting: Schema.optionalKey(Schema.Literal(true)),
  /** Milliseconds since the epoch by the device's clock. */
  at: Schema.Number
})
export type NodeReport = typeof NodeReport.Type

export const Event = Schema.Union([
  Schema.TaggedStruct("NodeReport", { report: NodeReport }),
  Schema.TaggedStruct("PodReport", { report: PodReport }),
  Schema.TaggedStruct("PodEvents", { events: Schema.Array(PodEvent) }),
  /** A `PodReport` as what differs from an earlier one; `ReportBases` makes and reads it. `length` in bytes. */
  Schema.TaggedStruct("ReportDelta", {
    uid: Schema.String,
    base: Schema.Number,
    length: Schema.Number,
    delta: Schema.Uint8Array
  })
])
export type Event = typeof Event.Type

type Kind = NonNullable<MessageInitShape<typeof EventSchema>["kind"]>

const nodeMessage = ({ agentVersion, at, host, pressure, resting, runtime }: NodeReport): Kind => ({
  case: "nodeReport",
  value: {
    host: {
      machineId: host.machineId,
      systemUuid: host.systemUuid,
      bootId: host.bootId,
      kernelVersion: host.kernelVersion,
      osImage: host.osImage,
      operatingSystem: host.operatingSystem,
      architecture: host.architecture,
      hostname: host.hostname,
      cpuMillis: long(host.cpuMillis),
      memoryBytes: long(host.memoryBytes),
      storageBytes: long(host.storageBytes),
      addresses: [...host.addresses]
    },
    memoryPressure: pressure.memory,
    diskPressure: pressure.disk,
    pidPressure: pressure.pids,
    runtimeName: runtime.name,
    runtimeVersion: runtime.version,
    agentVersion,
    resting: resting === true,
    at: long(at)
  }
})

const nodeValue = (node: NodeMessage): NodeReport => {
  const host = node.host ?? reject("Invalid", "a node report without its host")
  return {
    host: {
      machineId: host.machineId,
      systemUuid: host.systemUuid,
      bootId: host.bootId,
      kernelVersion: host.kernelVersion,
      osImage: host.osImage,
      operatingSystem: host.operatingSystem,
      architecture: host.architecture,
      hostname: host.hostname,
      cpuMillis: count(host.cpuMillis),
      memoryBytes: count(host.memoryBytes),
      storageBytes: count(host.storageBytes),
      addresses: bounded(host.addresses, limits.parts)
    },
    pressure: { memory: node.memoryPressure, disk: node.diskPressure, pids: node.pidPressure },
    runtime: { name: node.runtimeName, version: node.runtimeVersion },
    agentVersion: node.agentVersion,
    ...(node.resting ? { resting: true } : {}),
    at: count(node.at)
  }
}

const messageOf = (event: Event): Kind => {
  switch (event._tag) {
    case "NodeReport":
      return nodeMessage(event.report)
    case "PodReport":
      return { case: "podReport", value: reportMessage(event.report) }
    case "PodEvents":
      return { case: "podEvents", value: eventsMessage(event.events) }
    case "ReportDelta": {
      const { base, delta, length, uid } = event
      return { case: "reportDelta", value: { ...uidFields(uid), base: long(base), length, delta } }
    }
  }
}

const valueOf = ({ kind }: Message): Event => {
  switch (kind.case) {
    case "nodeReport":
      return { _tag: "NodeReport", report: nodeValue(kind.value) }
    case "podReport":
      return { _tag: "PodReport", report: reportValue(kind.value) }
    case "podEvents":
      return { _tag: "PodEvents", events: eventsValue(kind.value) }
    case "reportDelta": {
      const { base, delta, length } = kind.value
      return { _tag: "ReportDelta", uid: uidOf(kind.value), base: count(base), length, delta }
    }
    case undefined:
      return reject("Unsupported", "an event that this version does not know")
  }
}

export const encodeEvent = encoding(EventSchema, {
  subject: "Event",
  limit: limits.event,
  message: (event: Event) => create(EventSchema, { kind: messageOf(event) })
})

/** `Unsupported` for an event of a newer agent: answer `failureOf(error)` and go on. */
export const decodeEvent = decoding(EventSchema, { subject: "Event", limit: limits.event, value: valueOf })
