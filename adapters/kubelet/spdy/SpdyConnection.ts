/**
 * The server's end of a SPDY/3.1 connection. The protocol as Kubernetes uses it has no flow control: while one stream's reader is
 * far behind, the whole connection is not read, and so its client waits.
 */
import { Cause, Deferred, Effect, Queue, type Scope, Stream } from "effect"
import { Socket } from "effect/socket"
import {
  dataFrame,
  type Frame,
  FrameReader,
  goAwayFrame,
  goAwayStatus,
  pingFrame,
  resetStatus,
  rstStreamFrame,
  synReplyFrame
} from "./frames.ts"
import { type Headers, makeHeaderBlocks } from "./headerBlock.ts"
import { SpdyError } from "./SpdyError.ts"

export interface SpdyStream {
  readonly id: number
  readonly headers: Headers
  /** Ends with the client's half; fails when it reset the stream, or with the connection. To be run once. */
  readonly input: Stream.Stream<Uint8Array, SpdyError>
  /** What may still come is dropped. */
  readonly ignoreInput: Effect.Effect<void>
  /** Waits while the connection takes nothing. */
  readonly send: (bytes: Uint8Array) => Effect.Effect<void, SpdyError>
  /** Half-close: after what was sent. Idempotent. */
  readonly end: Effect.Effect<void, SpdyError>
  /** Both halves, at once. */
  readonly reset: Effect.Effect<void, SpdyError>
}

export interface SpdyConnection {
  /** The next stream that the client opens; it has its reply. */
  readonly accept: Effect.Effect<SpdyStream, SpdyError>
  /** Completes when the client has hung up or broken the protocol. */
  readonly closed: Effect.Effect<SpdyError>
}

/** Streams open at once: 100 connections of a port-forward are 200. */
const mostStreams = 1000
/** Pieces of input, at most as large as what a socket hands over (64 KiB), that wait for their reader. */
const mostPieces = 16
/** One sender does not keep the others from the connection for longer than this takes. */
const mostFrameBytes = 32 * 1024

interface Open {
  readonly input: Queue.Queue<Uint8Array, SpdyError | Cause.Done>
  theirsOver: boolean
  oursOver: boolean
}

const gone = (detail: string) => new SpdyError({ detail })
const asGone = (error: Socket.SocketError) =>
  gone(error.reason._tag === "SocketCloseError" ? "the client hung up" : error.message)

/** Speaks until the scope closes, which says goodbye, where somebody is left to hear it, and closes the socket. */
export const makeSpdyConnection = Effect.fnUntraced(function*(
  socket: Socket.Socket,
  carrier?: { readonly destroyed: boolean }
): Effect.fn.Return<SpdyConnection, SpdyError, Scope.Scope> {
  const blocks = yield* makeHeaderBlocks
  const pull = yield* Effect.mapError(Socket.readerBytes(socket), asGone)
  const writer = yield* socket.writer
  const write = (frame: Uint8Array) => Effect.mapError(writer.write(frame), asGone)
  const accepted = yield* Queue.bounded<SpdyStream, SpdyError>(mostStreams)
  const closed = yield* Deferred.make<SpdyError>()
  const streams = new Map<number, Open>()
  const reader = new FrameReader()
  let newest = 0

  const forget = (id: number, open: Open) => {
    if (open.theirsOver && open.oursOver) streams.delete(id)
  }

  const streamOf = (id: number, headers: Headers, open: Open): SpdyStream => {
    const send = (bytes: Uint8Array): Effect.Effect<void, SpdyError> =>
      Effect.gen(function*() {
        for (let at = 0; at < bytes.length; at += mostFrameBytes) {
          if (open.oursOver) return yield* gone(`stream ${id} is over`)
          yield* write(dataFrame(id, bytes.subarray(at, at + mostFrameBytes), false))
        }
      })
    return {
      id,
      headers,
      input: Stream.fromQueue(open.input),
      ignoreInput: Effect.asVoid(Queue.shutdown(open.input)),
      send,
      end: Effect.suspend(() => {
        if (open.oursOver) return Effect.void
        open.oursOver = true
        forget(id, open)
        return write(dataFrame(id, new Uint8Array(0), true))
      }),
      reset: Effect.suspend(() => {
        if (open.oursOver && open.theirsOver) return Effect.void
        open.oursOver = true
        open.theirsOver = true
        streams.delete(id)
        return Effect.andThen(Queue.shutdown(open.input), write(rstStreamFrame(id, resetStatus.internalError)))
      })
    }
  }

  const begin = Effect.fnUntraced(function*(frame: Frame & { readonly _tag: "SynStream" }) {
    // The context of compression goes on whatever becomes of the stream.
    const headers = yield* blocks.decode(frame.block)
    if (frame.stream % 2 === 0 || frame.stream <= newest) {
      return yield* gone(`stream ${frame.stream} was opened after stream ${newest}`)
    }
    newest = frame.stream
    if (streams.size >= mostStreams) return yield* write(rstStreamFrame(frame.stream, resetStatus.refused))
    const open: Open = {
      input: yield* Queue.bounded<Uint8Array, SpdyError | Cause.Done>(mostPieces),
      theirsOver: frame.fin,
      oursOver: false
    }
    if (frame.fin) yield* Queue.end(open.input)
    streams.set(frame.stream, open)
    yield* write(synReplyFrame(frame.stream, yield* blocks.encode(new Map())))
    yield* Queue.offer(accepted, streamOf(frame.stream, headers, open))
  })

  const endTheirs = (id: number, open: Open) => {
    open.theirsOver = true
    forget(id, open)
    return Queue.end(open.input)
  }

  const take = Effect.fnUntraced(function*(frame: Frame) {
    switch (frame._tag) {
      case "SynStream":
        return yield* begin(frame)
      case "Headers": {
        yield* blocks.decode(frame.block)
        const open = streams.get(frame.stream)
        if (open !== undefined && frame.fin) yield* endTheirs(frame.stream, open)
        return
      }
      case "Data": {
        // For a stream that is over: the client had not heard of that yet.
        const open = streams.get(frame.stream)
        if (open === undefined) return
        if (open.theirsOver) return yield* gone(`data after the end of stream ${frame.stream}`)
        if (frame.bytes.length > 0) yield* Queue.offer(open.input, frame.bytes)
        if (frame.fin) yield* endTheirs(frame.stream, open)
        return
      }
      case "RstStream": {
        const open = streams.get(frame.stream)
        if (open === undefined) return
        open.oursOver = true
        open.theirsOver = true
        streams.delete(frame.stream)
        yield* Queue.fail(open.input, gone("the client reset the stream"))
        return
      }
      case "Ping":
        // Even numbers are answers to pings of ours.
        if (frame.id % 2 === 1) yield* write(pingFrame(frame.id))
        return
      case "GoAway":
        return
    }
  })

  const parsed = (bytes: Uint8Array) =>
    Effect.try({
      try: () => reader.read(bytes),
      catch: (cause) => cause instanceof SpdyError ? cause : gone(String(cause))
    })

  const read = Effect.gen(function*() {
    while (true) {
      for (const bytes of yield* Effect.mapError(pull, asGone)) {
        for (const frame of yield* parsed(bytes)) yield* take(frame)
      }
    }
  })

  yield* Effect.addFinalizer(() =>
    carrier?.destroyed === true
      ? Effect.void
      : write(goAwayFrame(newest, goAwayStatus.ok)).pipe(Effect.timeoutOption("1 second"), Effect.ignore)
  )
  yield* read.pipe(
    Effect.catch((error: SpdyError) =>
      Effect.gen(function*() {
        yield* Deferred.succeed(closed, error)
        yield* Queue.fail(accepted, error)
        for (const open of streams.values()) yield* Queue.fail(open.input, error)
        streams.clear()
      })
    ),
    Effect.forkScoped
  )
  return { accept: Queue.take(accepted), closed: Deferred.await(closed) }
})
