/**
 * What opens a byte stream to a pod. For logs and forwards the device's first message is empty and says that it is open;
 * raw bytes follow. Exec and attach speak `ProcessMessage`. A stream that cannot be had fails the channel with `streamFailure`.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf"
import { Schema } from "effect"
import {
  LogFileFoundSchema,
  type StreamOpening as Message,
  StreamOpeningSchema
} from "../gen/aranya/wire/v1/message_pb.ts"
import { PodStreamError } from "../pod/PodRuntime.ts"
import { uidFields, uidOf } from "./identity.ts"
import { limits } from "./limits.ts"
import { bounded, count, decoding, encoding, optionalLong, port, present, reject } from "./message.ts"

const opt = Schema.optionalKey

/** In place of a pod's uid: the device itself is meant. */
export const hostUid = ""

const LogQuery = Schema.Struct({
  container: Schema.String,
  follow: Schema.Boolean,
  previous: Schema.Boolean,
  timestamps: Schema.Boolean,
  sinceSeconds: opt(Schema.Number),
  sinceTime: opt(Schema.Number),
  tailLines: opt(Schema.Number),
  limitBytes: opt(Schema.Number)
})
const attachSpec = { stdin: Schema.Boolean, stdout: Schema.Boolean, stderr: Schema.Boolean, tty: Schema.Boolean }

export const StreamOpening = Schema.Union([
  Schema.TaggedStruct("Logs", { uid: Schema.String, query: LogQuery }),
  Schema.TaggedStruct("Exec", {
    uid: Schema.String,
    container: Schema.String,
    spec: Schema.Struct({ command: Schema.Array(Schema.String), ...attachSpec })
  }),
  Schema.TaggedStruct("Attach", { uid: Schema.String, container: Schema.String, spec: Schema.Struct(attachSpec) }),
  Schema.TaggedStruct("Forward", { uid: Schema.String, port: Schema.Number }),
  /** What lies below the host's folder of logs; answered with `LogFileFound` first. */
  Schema.TaggedStruct("LogFile", { path: Schema.String })
])
export type StreamOpening = typeof StreamOpening.Type

type Kind = NonNullable<MessageInitShape<typeof StreamOpeningSchema>["kind"]>

const messageOf = (opening: StreamOpening): Kind => {
  if (opening._tag === "LogFile") return { case: "logFile", value: { path: opening.path } }
  const uid = uidFields(opening.uid)
  switch (opening._tag) {
    case "Logs": {
      const { container, follow, limitBytes, previous, sinceSeconds, sinceTime, tailLines, timestamps } = opening.query
      return {
        case: "logs",
        value: {
          ...uid,
          container,
          follow,
          previous,
          timestamps,
          ...present("sinceSeconds", optionalLong(sinceSeconds)),
          ...present("sinceTime", optionalLong(sinceTime)),
          ...present("tailLines", optionalLong(tailLines)),
          ...present("limitBytes", optionalLong(limitBytes))
        }
      }
    }
    case "Exec": {
      const { command, ...spec } = opening.spec
      return { case: "exec", value: { ...uid, container: opening.container, command: [...command], ...spec } }
    }
    case "Attach":
      return { case: "attach", value: { ...uid, container: opening.container, ...opening.spec } }
    case "Forward":
      return { case: "forward", value: { ...uid, port: port(opening.port) } }
  }
}

const optionalCount = (value: bigint | undefined): number | undefined => value === undefined ? undefined : count(value)

const valueOf = ({ kind }: Message): StreamOpening => {
  switch (kind.case) {
    case "logs": {
      const { container, follow, limitBytes, previous, sinceSeconds, sinceTime, tailLines, timestamps } = kind.value
      return {
        _tag: "Logs",
        uid: uidOf(kind.value),
        query: {
          container,
          follow,
          previous,
          timestamps,
          ...present("sinceSeconds", optionalCount(sinceSeconds)),
          ...present("sinceTime", optionalCount(sinceTime)),
          ...present("tailLines", optionalCount(tailLines)),
          ...present("limitBytes", optionalCount(limitBytes))
        }
      }
    }
    case "exec": {
      const { command, container, stderr, stdin, stdout, tty } = kind.value
      const spec = { command: bounded(command), stdin, stdout, stderr, tty }
      return { _tag: "Exec", uid: uidOf(kind.value), container, spec }
    }
    case "attach": {
      const { container, stderr, stdin, stdout, tty } = kind.value
      return { _tag: "Attach", uid: uidOf(kind.value), container, spec: { stdin, stdout, stderr, tty } }
    }
    case "forward":
      return { _tag: "Forward", uid: uidOf(kind.value), port: port(kind.value.port) }
    case "logFile":
      return { _tag: "LogFile", path: kind.value.path }
    case undefined:
      return reject("Unsupported", "a stream that this version does not know")
  }
}

export const encodeStreamOpening = encoding(StreamOpeningSchema, {
  subject: "StreamOpening",
  limit: limits.opening,
  message: (opening: StreamOpening) => create(StreamOpeningSchema, { kind: messageOf(opening) })
})

export const decodeStreamOpening = decoding(StreamOpeningSchema, {
  subject: "StreamOpening",
  limit: limits.opening,
  value: valueOf
})

/** What a `LogFile` turned out to be. */
export const encodeLogFileFound = encoding(LogFileFoundSchema, {
  subject: "LogFileFound",
  limit: limits.opening,
  message: (found: { readonly directory: boolean }) => create(LogFileFoundSchema, found)
})

export const decodeLogFileFound = decoding(LogFileFoundSchema, {
  subject: "LogFileFound",
  limit: limits.opening,
  value: ({ directory }) => ({ directory })
})

const reasons: ReadonlyArray<PodStreamError["reason"]> = [
  "NotFound",
  "NotReady",
  "Refused",
  "Failed",
  "OutcomeUnknown"
]

/** The detail with which a channel fails, so that the other side knows the reason too. */
export const streamFailure = (error: PodStreamError): string => `${error.reason}: ${error.detail}`

/** Reads it back; whatever else a channel failed with is `Failed`. */
export const streamErrorOf = (detail: string): PodStreamError => {
  const reason = reasons.find((known) => detail.startsWith(`${known}: `))
  return reason === undefined ?
    new PodStreamError({ reason: "Failed", detail }) :
    new PodStreamError({ reason, detail: detail.slice(reason.length + 2) })
}
