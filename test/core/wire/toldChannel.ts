/** A channel on which a process is told this, one after the other, or bytes that are no message; it hears nothing. */
import { Effect, Stream } from "effect"
import type { Channel } from "../../../core/link/Session.ts"
import { encodeProcessMessage, type ProcessMessage } from "../../../core/wire/ProcessMessage.ts"

export const toldChannel = (
  told: ReadonlyArray<ProcessMessage | Uint8Array>,
  then: Channel["messages"] = Stream.empty
) =>
  Effect.map(
    Effect.forEach(told, (message) =>
      message instanceof Uint8Array ? Effect.succeed(message) : encodeProcessMessage(message)),
    (messages): Channel => ({
      send: () =>
        Effect.void,
      end: Effect.void,
      fail: () => Effect.void,
      messages: Stream.concat(Stream.fromIterable(messages), then)
    })
  )
