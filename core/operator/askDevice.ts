/** One command to a device and its answer, as typed values. */
import { Effect } from "effect"
import { LinkError, type Priority, type Session } from "../link/Session.ts"
import { type Command, encodeCommand } from "../wire/Command.ts"
import { decodeReply, type Reply } from "../wire/Reply.ts"

/**
 * Fails with `Overloaded` where the device says "not now", with `Refused` where it never will, else as the session does.
 */
export const askDevice = Effect.fnUntraced(function*(
  session: Session,
  command: Command,
  options: { readonly priority?: Priority; readonly timeoutMillis?: number } = {}
): Effect.fn.Return<Exclude<Reply, { readonly _tag: "Failure" }>, LinkError> {
  const refuse = (error: { readonly message: string }) => new LinkError({ reason: "Refused", detail: error.message })
  const message = yield* Effect.mapError(encodeCommand(command), refuse)
  const answer = yield* session.request(message, options)
  const reply = yield* Effect.mapError(decodeReply(answer), refuse)
  if (reply._tag !== "Failure") return reply
  return yield* new LinkError({
    reason: reply.code === "Unavailable" ? "Overloaded" : "Refused",
    detail: reply.detail
  })
})
