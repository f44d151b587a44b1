/** A process on a device, as the messages on the stream of an exec or attach tell of it. */
import { Deferred, Effect, Stream } from "effect"
import type { Channel, LinkError } from "../link/Session.ts"
import type { Output, ProcessStreams } from "../pod/ContainerRuntime.ts"
import { RuntimeError } from "../pod/ContainerRuntime.ts"
import { PodStreamError } from "../pod/PodRuntime.ts"
import { inMessages } from "../wire/byteMessages.ts"
import { decodeProcessMessage, encodeProcessMessage, type ProcessMessage } from "../wire/ProcessMessage.ts"

const unavailable = (detail: string) => new RuntimeError({ reason: "Unavailable", detail })
const outcomeUnknown = (detail: string) => new RuntimeError({ reason: "OutcomeUnknown", detail })

/** `errorOf` puts what became of the link into words for the user. */
export const remoteProcess = Effect.fnUntraced(function*(
  channel: Channel,
  errorOf: (error: LinkError) => PodStreamError
) {
  const ended = yield* Deferred.make<number, RuntimeError>()
  /** Whether the device has said that it runs. */
  let begun = false
  const broken = (error: LinkError) => {
    const { message, reason } = errorOf(error)
    return begun || reason === "OutcomeUnknown" ? outcomeUnknown(message) : unavailable(message)
  }
  const send = (message: ProcessMessage) =>
    encodeProcessMessage(message).pipe(
      Effect.mapError((error) => unavailable(error.message)),
      Effect.flatMap((bytes) => Effect.mapError(channel.send(bytes), broken))
    )

  const outputOf = (message: ProcessMessage): Effect.Effect<Output | undefined, RuntimeError> => {
    begun = true
    switch (message._tag) {
      case "Stdout":
        return Effect.succeed({ stream: "stdout", bytes: message.bytes })
      case "Stderr":
        return Effect.succeed({ stream: "stderr", bytes: message.bytes })
      case "Exit":
        return Effect.as(Deferred.succeed(ended, message.code), undefined)
      case "Failed":
        // It had begun.
        return Effect.fail(outcomeUnknown(message.detail))
      default:
        return Effect.undefined
    }
  }

  const output = channel.messages.pipe(
    Stream.mapError(broken),
    Stream.mapEffect((bytes) =>
      decodeProcessMessage(bytes).pipe(
        // A kind that only newer devices know says nothing that this version could tell.
        Effect.catch((error) =>
          error.reason === "Unsupported"
            ? Effect.succeed<ProcessMessage>({ _tag: "Started" })
            : Effect.fail(outcomeUnknown(error.message))
        ),
        Effect.flatMap(outputOf)
      )
    ),
    Stream.filter((piece) => piece !== undefined)
  )

  const streams: ProcessStreams = {
    stdin: (bytes) =>
      Effect.gen(function*() {
        // In pieces, so that a long paste does not hold up a resize for long.
        for (const piece of inMessages(bytes)) yield* send({ _tag: "Stdin", bytes: piece })
      }),
    endStdin: send({ _tag: "EndStdin" }),
    resize: (size) => send({ _tag: "Resize", ...size }),
    output,
    exitCode: Effect.suspend(() =>
      Deferred.isDoneUnsafe(ended)
        ? Deferred.await(ended)
        : Effect.fail(outcomeUnknown("the device did not tell how the process ended"))
    )
  }
  return streams
})
