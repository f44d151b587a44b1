/** What an operator asks of a device. Saying any of it twice does nothing twice. */
import { create, type MessageInitShape } from "@bufbuild/protobuf"
import { Schema } from "effect"
import { type Command as Message, CommandSchema } from "../gen/aranya/wire/v1/message_pb.ts"
import { boundedGrace } from "../pod/boundedGrace.ts"
import { PodAssignment, VolumeFile } from "../pod/PodAssignment.ts"
import { assignmentMessage, assignmentValue, fileMessage, fileValue } from "./assignment.ts"
import { uidFields, uidOf } from "./identity.ts"
import { limits } from "./limits.ts"
import { bounded, count, decoding, encoding, long, optionalLong, present, reject } from "./message.ts"

/** What a device needs to know of its cluster; the whole of it each time. */
export const DeviceSettings = Schema.Struct({
  /** What `status.hostIP` and downward `hostIP` shall say; empty: the device's own addresses. */
  hostIPs: Schema.Array(Schema.String),
  /** Name servers of the cluster that the device can reach; empty where it has none. */
  clusterDNS: Schema.Array(Schema.String),
  clusterDomain: Schema.String,
  /** Milliseconds for which workloads may run without a word of the operator; absent: for ever. */
  stopWorkloadsAfter: Schema.optionalKey(Schema.Number)
})
export type DeviceSettings = typeof DeviceSettings.Type

export const Command = Schema.Union([
  /** Run this pod, or bring a running one to this version. */
  Schema.TaggedStruct("AssignPod", { assignment: PodAssignment }),
  /** End this pod within the grace, in seconds; a report with `finished` says when it is done. */
  Schema.TaggedStruct("RemovePod", { uid: Schema.String, graceSeconds: Schema.Number }),
  /** The operator has taken the final report: nothing of the pod need be kept. */
  Schema.TaggedStruct("ForgetPod", { uid: Schema.String }),
  /** Answered with `Held`. */
  Schema.TaggedStruct("ListHeld", {}),
  Schema.TaggedStruct("Configure", { settings: DeviceSettings }),
  /** The device was revoked or deleted: stop all pods, remove everything, secrets first. */
  Schema.TaggedStruct("Wipe", { reason: Schema.String }),
  /** Rotated ServiceAccount tokens of one volume. */
  Schema.TaggedStruct("Tokens", { uid: Schema.String, volume: Schema.String, files: Schema.Array(VolumeFile) }),
  /** Answered with `Usage`. `base` names the sample that the operator has; 0: none. */
  Schema.TaggedStruct("Measure", { base: Schema.Number }),
  /** Tell of the host again, also where that says nothing new. */
  Schema.TaggedStruct("TellNode", {})
])
export type Command = typeof Command.Type

type Kind = NonNullable<MessageInitShape<typeof CommandSchema>["kind"]>

const messageOf = (command: Command): Kind => {
  switch (command._tag) {
    case "AssignPod":
      return { case: "assignPod", value: assignmentMessage(command.assignment) }
    case "RemovePod":
      return {
        case: "removePod",
        value: { ...uidFields(command.uid), graceSeconds: long(boundedGrace(command.graceSeconds)) }
      }
    case "ForgetPod":
      return { case: "forgetPod", value: uidFields(command.uid) }
    case "ListHeld":
      return { case: "listHeld", value: {} }
    case "Configure": {
      const { clusterDNS, clusterDomain, hostIPs, stopWorkloadsAfter } = command.settings
      return {
        case: "configure",
        value: {
          hostIps: [...hostIPs],
          clusterDns: [...clusterDNS],
          clusterDomain,
          ...present("stopWorkloadsAfter", optionalLong(stopWorkloadsAfter))
        }
      }
    }
    case "Wipe":
      return { case: "wipe", value: { reason: command.reason } }
    case "Tokens":
      return {
        case: "tokens",
        value: { ...uidFields(command.uid), volume: command.volume, files: command.files.map(fileMessage) }
      }
    case "Measure":
      return { case: "measure", value: { base: long(command.base) } }
    case "TellNode":
      return { case: "tellNode", value: {} }
  }
}

const valueOf = ({ kind }: Message): Command => {
  switch (kind.case) {
    case "assignPod":
      return { _tag: "AssignPod", assignment: assignmentValue(kind.value) }
    case "removePod":
      return { _tag: "RemovePod", uid: uidOf(kind.value), graceSeconds: count(kind.value.graceSeconds) }
    case "forgetPod":
      return { _tag: "ForgetPod", uid: uidOf(kind.value) }
    case "listHeld":
      return { _tag: "ListHeld" }
    case "configure":
      return {
        _tag: "Configure",
        settings: {
          hostIPs: bounded(kind.value.hostIps, limits.parts),
          clusterDNS: bounded(kind.value.clusterDns, limits.parts),
          clusterDomain: kind.value.clusterDomain,
          ...(kind.value.stopWorkloadsAfter === undefined
            ? {}
            : { stopWorkloadsAfter: count(kind.value.stopWorkloadsAfter) })
        }
      }
    case "wipe":
      return { _tag: "Wipe", reason: kind.value.reason }
    case "tokens":
      return {
        _tag: "Tokens",
        uid: uidOf(kind.value),
        volume: kind.value.volume,
        files: bounded(kind.value.files, limits.parts).map(fileValue)
      }
    case "measure":
      return { _tag: "Measure", base: count(kind.value.base) }
    case "tellNode":
      return { _tag: "TellNode" }
    case undefined:
      return reject("Unsupported", "a command that this version does not know")
  }
}

export const encodeCommand = encoding(CommandSchema, {
  subject: "Command",
  limit: limits.command,
  message: (command: Command) => create(CommandSchema, { kind: messageOf(command) })
})

/** `Unsupported` for a command of a newer operator: answer `failureOf(error)` and go on. */
export const decodeCommand = decoding(CommandSchema, { subject: "Command", limit: limits.command, value: valueOf })
