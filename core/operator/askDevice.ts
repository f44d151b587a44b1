/** One command to a device and its answer, as typed values. */
import { Duration, Effect, SubscriptionRef } from "effect"
import { LinkError, type Priority, type Session } from "../link/Session.ts"
import type { TrafficClass } from "../link/Traffic.ts"
import { type Command, encodeCommand } from "../wire/Command.ts"
import { decodeReply, type Reply } from "../wire/Reply.ts"
import type { DeviceContext } from "./DeviceContext.ts"

/** The device holds no such pod: an answer, and no error. */
export interface NotHeld {
  readonly _tag: "NotHeld"
}

export interface AskOptions {
  readonly priority?: Priority
  readonly timeoutMillis?: number
  readonly compress?: boolean
  readonly patienceMillis?: number
  readonly traffic?: TrafficClass
}

/**
 * Fails with `Overloaded` where the device says "not now", with `Refused` where it never will, with `TooLarge` where no message
 * holds the command, else as the session does.
 */
export const askDevice = Effect.fnUntraced(function*(
  session: Session,
  command: Command,
  options: AskOptions = {}
): Effect.fn.Return<Exclude<Reply, { readonly _tag: "Failure" }> | NotHeld, LinkError> {
  const refuse = (error: { readonly message: string }) => new LinkError({ reason: "Refused", detail: error.message })
  const message = yield* Effect.mapError(
    encodeCommand(command),
    (error) => error.reason === "TooLarge" ? new LinkError({ reason: "TooLarge", detail: error.detail }) : refuse(error)
  )
  const answer = yield* session.request(message, options)
  const reply = yield* Effect.mapError(decodeReply(answer), refuse)
  if (reply._tag !== "Failure") return reply
  if (reply.code === "NotFound") return { _tag: "NotHeld" }
  return yield* new LinkError({
    reason: reply.code === "Unavailable" ? "Overloaded" : "Refused",
    detail: reply.detail
  })
})

/** The same, for no longer than the EdgeDevice's `unarySessionTimeout` says at that moment. */
export const askWithin =
  ({ device }: Pick<DeviceContext, "device">) => (session: Session, command: Command, options: AskOptions = {}) =>
    Effect.flatMap(SubscriptionRef.get(device), ({ spec }) =>
      askDevice(session, command, {
        timeoutMillis: Duration.toMillis(spec.connectivity.timers.unarySessionTimeout),
        ...options
      }))
