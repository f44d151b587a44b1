/** When a request has waited long enough for its reply: its limit counts while nothing of the message gets through. */
import { Effect, Option } from "effect"
import { LinkError } from "../Session.ts"
import type { Conversation } from "./Conversation.ts"
import { type LinkStream, messageCost } from "./LinkStream.ts"

/**
 * With each part of so many bytes that arrives the limit begins anew: a thin line has the time that a long message takes, and a peer that
 * takes a byte now and then holds nobody for ever, as there are only so many parts. What is shorter has the limit once.
 */
const partBytes = 4 * 1024

/** Fails with `Timeout`; it ends in no other way. */
export const tooLate = (
  conversation: Conversation,
  stream: LinkStream,
  millis: number
): Effect.Effect<never, LinkError> =>
  Effect.suspend(() => {
    const size = Math.max(0, stream.sentBytes - messageCost) + stream.queuedBytes
    const arriving = (next: number) => conversation.stirred.until(() => stream.acknowledgedBytes >= next)
    const late = Effect.suspend(() =>
      Effect.fail(
        new LinkError({
          reason: "Timeout",
          detail: `no reply within ${millis / 1000} s `
            + (size < partBytes ? `to ${size} bytes` : `after ${stream.acknowledgedBytes} of ${size} bytes had arrived`)
        })
      )
    )
    const wait: Effect.Effect<never, LinkError> = Effect.suspend(() =>
      arriving(stream.acknowledgedBytes + partBytes).pipe(
        Effect.timeoutOption(millis),
        Effect.flatMap((more) => Option.isSome(more) ? wait : late)
      )
    )
    return size < partBytes ? Effect.delay(late, millis) : wait
  })
