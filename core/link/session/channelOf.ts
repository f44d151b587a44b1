/** A stream as its users see it. */
import { Cause, Effect, Stream } from "effect"
import { ErrorCode } from "../../gen/aranya/link/v1/link_pb.ts"
import { type Channel, LinkError } from "../Session.ts"
import type { LinkStream } from "./LinkStream.ts"
import type { Streams } from "./Streams.ts"

/** Messages handed over at once, so that small ones do not cost a wake-up each. */
const batchBytes = 64 * 1024

export const channelOf = (streams: Streams, stream: LinkStream): Channel => {
  const { conversation } = streams
  const { sendQueue } = conversation.limits

  const mayPush = () => stream.sendFailure !== undefined || stream.ended || stream.queuedBytes < sendQueue

  const send = (message: Uint8Array): Effect.Effect<void, LinkError> =>
    Effect.suspend(() => {
      if (stream.sendFailure !== undefined) return Effect.fail(stream.sendFailure)
      if (stream.ended) return Effect.fail(new LinkError({ reason: "Closed", detail: "this direction has ended" }))
      if (!mayPush()) return Effect.andThen(stream.drained.until(mayPush), send(message))
      conversation.step(() => streams.send(stream, message))
      return Effect.void
    })

  const readable = () => stream.arrived.length > 0 || stream.receiveEnd !== undefined

  const read: Effect.Effect<readonly [Uint8Array, ...Array<Uint8Array>], LinkError | Cause.Done> = Effect.suspend(
    () => {
      if (!readable()) return Effect.andThen(stream.changed.until(readable), read)
      return conversation.step(() => {
        const first = streams.read(stream)
        if (first === undefined) {
          return stream.receiveEnd?.failure === undefined ? Cause.done() : Effect.fail(stream.receiveEnd.failure)
        }
        if (first instanceof LinkError) return Effect.fail(first)
        const batch: [Uint8Array, ...Array<Uint8Array>] = [first]
        let bytes = first.length
        for (
          let next = stream.arrived[0];
          next !== undefined && bytes + next.data.length <= batchBytes;
          next = stream.arrived[0]
        ) {
          const message = next.inflated === 0 ? streams.read(stream) : undefined
          if (!(message instanceof Uint8Array)) break
          batch.push(message)
          bytes += message.length
        }
        return Effect.succeed(batch)
      })
    }
  )

  return {
    send,
    end: Effect.suspend(() => {
      if (stream.ended) return Effect.void
      if (stream.sendFailure !== undefined) return Effect.fail(stream.sendFailure)
      conversation.step(() => streams.endSending(stream))
      return Effect.void
    }),
    fail: (detail) =>
      Effect.sync(() => conversation.step(() => streams.closeInBand(stream, ErrorCode.REFUSED, detail))),
    messages: Stream.fromPull(Effect.succeed(read))
  }
}
