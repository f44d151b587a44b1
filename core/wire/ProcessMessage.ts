/** What goes to and fro on the stream of an exec or attach, in order: the exit code comes after the last output. */
import { create, type MessageInitShape } from "@bufbuild/protobuf"
import { Schema } from "effect"
import { type ProcessMessage as Message, ProcessMessageSchema } from "../gen/aranya/wire/v1/message_pb.ts"
import { limits } from "./limits.ts"
import { decoding, encoding, reject } from "./message.ts"

const Bytes = { bytes: Schema.Uint8Array }

export const ProcessMessage = Schema.Union([
  /** To the process. */
  Schema.TaggedStruct("Stdin", Bytes),
  Schema.TaggedStruct("EndStdin", {}),
  Schema.TaggedStruct("Resize", { width: Schema.Number, height: Schema.Number }),
  /** From the process; first of all, it runs. */
  Schema.TaggedStruct("Started", {}),
  Schema.TaggedStruct("Stdout", Bytes),
  Schema.TaggedStruct("Stderr", Bytes),
  /** Last of all, one of these two. */
  Schema.TaggedStruct("Exit", { code: Schema.Number }),
  Schema.TaggedStruct("Failed", {
    reason: Schema.Literals(["NotFound", "NotReady", "Refused", "Failed"]),
    detail: Schema.String
  })
])
export type ProcessMessage = typeof ProcessMessage.Type

type Kind = NonNullable<MessageInitShape<typeof ProcessMessageSchema>["kind"]>

const messageOf = (message: ProcessMessage): Kind => {
  switch (message._tag) {
    case "Stdin":
      return { case: "stdin", value: message.bytes as Uint8Array<ArrayBuffer> }
    case "Stdout":
      return { case: "stdout", value: message.bytes as Uint8Array<ArrayBuffer> }
    case "Stderr":
      return { case: "stderr", value: message.bytes as Uint8Array<ArrayBuffer> }
    case "EndStdin":
      return { case: "endStdin", value: {} }
    case "Started":
      return { case: "started", value: {} }
    case "Resize":
      return { case: "resize", value: { width: message.width, height: message.height } }
    case "Exit":
      return { case: "exit", value: { code: message.code } }
    case "Failed":
      return { case: "failed", value: { reason: message.reason, detail: message.detail } }
  }
}

const reasons = ["NotFound", "NotReady", "Refused", "Failed"] as const

const valueOf = ({ kind }: Message): ProcessMessage => {
  switch (kind.case) {
    case "stdin":
      return { _tag: "Stdin", bytes: kind.value }
    case "stdout":
      return { _tag: "Stdout", bytes: kind.value }
    case "stderr":
      return { _tag: "Stderr", bytes: kind.value }
    case "endStdin":
      return { _tag: "EndStdin" }
    case "started":
      return { _tag: "Started" }
    case "resize":
      return { _tag: "Resize", width: kind.value.width, height: kind.value.height }
    case "exit":
      return { _tag: "Exit", code: kind.value.code }
    case "failed": {
      const reason = reasons.find((known) => known === kind.value.reason) ?? "Failed"
      return { _tag: "Failed", reason, detail: kind.value.detail }
    }
    case undefined:
      return reject("Unsupported", "a process message that this version does not know")
  }
}

/** Bytes of output beyond `limits.process` go in several messages. */
export const encodeProcessMessage = encoding(ProcessMessageSchema, {
  subject: "ProcessMessage",
  limit: limits.process + 16,
  message: (message: ProcessMessage) => create(ProcessMessageSchema, { kind: messageOf(message) })
})

/** Bytes are views on the message. `Unsupported` may be skipped. */
export const decodeProcessMessage = decoding(ProcessMessageSchema, {
  subject: "ProcessMessage",
  limit: limits.process + 16,
  value: valueOf
})
