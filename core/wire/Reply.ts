/** The answer to a command or an event; `Done` and `Held` only after what they confirm is durable. */
import { create, type MessageInitShape } from "@bufbuild/protobuf"
import { Effect, Schema } from "effect"
import { Failure_Code, type Reply as Message, ReplySchema } from "../gen/aranya/wire/v1/message_pb.ts"
import { heldMessage, HeldPod, heldValue } from "./holdings.ts"
import { limits } from "./limits.ts"
import { decoding, encoding, reject } from "./message.ts"
import { figuresMessage, figuresValue, UsageFigures } from "./usage.ts"
import { WireError } from "./WireError.ts"

/**
 * `Unsupported`: a kind of a newer version. `Invalid`, `TooLarge`: this can never work. `NotFound`: no such pod or volume.
 * `Refused`: switched off on this side. `Unavailable`: not now (a full disk, a closing process): ask again later.
 */
export const FailureCode = Schema.Literals(["Unsupported", "Invalid", "NotFound", "Refused", "TooLarge", "Unavailable"])
export type FailureCode = typeof FailureCode.Type

export const Reply = Schema.Union([
  Schema.TaggedStruct("Done", {}),
  Schema.TaggedStruct("Held", { pods: Schema.Array(HeldPod) }),
  Schema.TaggedStruct("Usage", { figures: UsageFigures }),
  Schema.TaggedStruct("Failure", { code: FailureCode, detail: Schema.String })
])
export type Reply = typeof Reply.Type

const codes: ReadonlyArray<readonly [FailureCode, Failure_Code]> = [
  ["Unsupported", Failure_Code.UNSUPPORTED],
  ["Invalid", Failure_Code.INVALID],
  ["NotFound", Failure_Code.NOT_FOUND],
  ["Refused", Failure_Code.REFUSED],
  ["TooLarge", Failure_Code.TOO_LARGE],
  ["Unavailable", Failure_Code.UNAVAILABLE]
]
/** A sentence for people, not a place for data. */
const longestDetail = 4096

type Kind = NonNullable<MessageInitShape<typeof ReplySchema>["kind"]>

const messageOf = (reply: Reply): Kind => {
  switch (reply._tag) {
    case "Done":
      return { case: "done", value: {} }
    case "Held":
      return { case: "held", value: heldMessage(reply.pods) }
    case "Usage":
      return { case: "usage", value: figuresMessage(reply.figures) }
    case "Failure": {
      const code = codes.find(([name]) => name === reply.code)?.[1] ?? Failure_Code.UNSPECIFIED
      return { case: "failure", value: { code, detail: reply.detail.slice(0, longestDetail).toWellFormed() } }
    }
  }
}

const valueOf = ({ kind }: Message): Reply => {
  switch (kind.case) {
    case "done":
      return { _tag: "Done" }
    case "held":
      return { _tag: "Held", pods: heldValue(kind.value) }
    case "usage":
      return { _tag: "Usage", figures: figuresValue(kind.value) }
    case "failure": {
      // A code of a newer version is still a failure; `Unavailable` makes the caller ask again, slowly.
      const code = codes.find(([, known]) => known === kind.value.code)?.[0] ?? "Unavailable"
      return { _tag: "Failure", code, detail: kind.value.detail.slice(0, longestDetail) }
    }
    case undefined:
      return reject("Unsupported", "a reply that this version does not know")
  }
}

export const encodeReply = encoding(ReplySchema, {
  subject: "Reply",
  limit: limits.reply,
  message: (reply: Reply) => create(ReplySchema, { kind: messageOf(reply) })
})

export const decodeReply = decoding(ReplySchema, { subject: "Reply", limit: limits.reply, value: valueOf })

/** What to answer when a command or an event could not be read. */
export const failureOf = (error: WireError): Reply => ({
  _tag: "Failure",
  code: error.reason === "Malformed" ? "Invalid" : error.reason,
  detail: error.message
})

/** The bytes of `Done`, which cannot fail. */
export const done: Uint8Array = Effect.runSync(Effect.orDie(encodeReply({ _tag: "Done" })))
