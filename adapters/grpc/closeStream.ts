/**
 * Ends the HTTP/2 stream below a finished server call. grpc-js 1.14 leaves it open until the client ends its own half: one that
 * never does keeps stream and connection, which does not count as idle, for a day. RFC 9113 (8.1) has a server that has answered
 * in full reset the stream with NO_ERROR.
 */
import type { ServerDuplexStream } from "@grpc/grpc-js"
import { Effect } from "effect"
import { constants, type ServerHttp2Stream } from "node:http2"

/** How long a client may take to end its half after it was answered. */
const courtesy = "1 second"

/** Where grpc-js keeps the stream; nowhere in its types. */
export const streamOf = (call: ServerDuplexStream<Uint8Array, Uint8Array>): ServerHttp2Stream | undefined =>
  (call as unknown as { readonly call?: { readonly stream?: ServerHttp2Stream } }).call?.stream

export const closeStream = (call: ServerDuplexStream<Uint8Array, Uint8Array>): Effect.Effect<void> =>
  Effect.suspend(() => {
    const stream = streamOf(call)
    if (stream === undefined || stream.closed || stream.destroyed) return Effect.void
    const closed = Effect.callback<void>((resume) => {
      const done = () => resume(Effect.void)
      stream.once("close", done)
      return Effect.sync(() => stream.off("close", done))
    })
    return closed.pipe(
      Effect.timeoutOption(courtesy),
      Effect.andThen(Effect.sync(() => stream.close(constants.NGHTTP2_NO_ERROR)))
    )
  })
