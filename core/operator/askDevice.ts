/** One command to a device and its answer, as typed values. */
import { Effect } from "effect"
import { LinkError, type Priority, type Session } from "../link/Session.ts"
import type { TrafficClass } from "../link/Traffic.ts"
import { type Command, encodeCommand } from "../wire/Command.ts"
import { decodeReply, type Reply } from "../wire/Reply.ts"

/** The device holds no such pod: an answer, and no error. */
export interface NotHeld {
  readonly _tag: "NotHeld"
}

/**
 * Fails with `Overloaded` where the device says "not now", with `Refused` where it never will, else as the session does.
 */
export const askDevice = Effect.fnUntraced(function*(
  session: Session,
  command: Command,
  options: {
    readonly priority?: Priority
    readonly timeoutMillis?: number
    readonly compress?: boolean
    readonly patienceMillis?: number
    readonly traffic?: TrafficClass
  } = {}
): Effect.fn.Return<Exclude<Reply, { readonly _tag: "Failure" }> | NotHeld, LinkError> {
  const refuse = (error: { readonly message: string }) => new LinkError({ reason: "Refused", detail: error.message })
  const message = yield* Effect.mapError(encodeCommand(command), refuse)
  const answer = yield* session.request(message, options)
  const reply = yield* Effect.mapError(decodeReply(answer), refuse)
  if (reply._tag !== "Failure") return reply
  if (reply.code === "NotFound") return { _tag: "NotHeld" }
  return yield* new LinkError({
    reason: reply.code === "Unavailable" ? "Overloaded" : "Refused",
    detail: reply.detail
  })
})
