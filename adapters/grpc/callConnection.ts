/** A gRPC call of either side as a Connection: frames are pulled one by one, so that nothing piles up unread. */
import { Duration, Effect } from "effect"
import { type Connection, TransportError } from "../../core/link/Transport.ts"
import { Waiting } from "../../core/link/Waiting.ts"

/** Frames may wait to be sent up to this many bytes; then `send` waits. HTTP/2 and the kernel hold more below. */
const sendBuffer = 128 * 1024

/** How long hanging up waits for what was sent to leave, before the call is cut off. */
const flushLimit = Duration.seconds(1)

export interface CallConnection {
  readonly connection: Connection
  /** Ends our half after what was sent, waits a little for the flush and for the peer's end, then is done. */
  readonly hangUp: Effect.Effect<void>
}

/** What both sides' duplex calls of grpc-js have in common. */
export interface FrameCall {
  readonly destroyed: boolean
  on(event: "error" | "end" | "close" | "cancelled" | "readable", listener: (error: unknown) => void): unknown
  read(): unknown
  write(frame: Uint8Array, done: () => void): unknown
  end(): unknown
  destroy(): unknown
}

export interface CallOptions {
  readonly description: string
  readonly maxFrame: number
  /** The peer may begin with an empty message, which is no frame. */
  readonly greeted?: boolean
  /** What an error event of the call means. */
  readonly errorOf: (error: unknown) => TransportError
}

/** To be made at once with the call: a stream without listener for `error` would end the process. */
export const callConnection = (
  call: FrameCall,
  { description, errorOf, maxFrame, ...options }: CallOptions
): CallConnection => {
  let greeted = options.greeted === true
  let lost: TransportError | undefined
  let unsent = 0
  /** Those who wait for a frame, for room, or for the end; each looks again whenever something happened. */
  const waiting = new Waiting()
  const lose = (error: TransportError) => {
    lost ??= error
    waiting.wake()
  }
  const ended = () => lose(new TransportError({ reason: "Lost", detail: "the peer hung up" }))

  call.on("error", (error: unknown) => lose(errorOf(error)))
  call.on("end", ended)
  call.on("close", ended)
  call.on("cancelled", ended)
  call.on("readable", () => waiting.wake())

  const next = () => {
    let frame = call.read() as Uint8Array | null
    if (greeted && frame !== null) {
      greeted = false
      if (frame.length === 0) frame = call.read() as Uint8Array | null
    }
    if (frame !== null) return frame.length <= maxFrame ? Effect.succeed(frame) : Effect.fail(oversized(frame.length))
    return lost === undefined ? undefined : Effect.fail(lost)
  }
  const waitForNext = waiting.when(next)
  // On a busy line the next one is there already.
  const receive = Effect.suspend(() => next() ?? waitForNext)

  const oversized = (length: number) => {
    const error = new TransportError({
      reason: "Lost",
      detail: `a frame of ${length} bytes, at most ${maxFrame} are allowed`
    })
    lose(error)
    call.destroy()
    return error
  }

  const hasRoom = () => {
    if (lost !== undefined) return Effect.fail(lost)
    return unsent < sendBuffer ? Effect.void : undefined
  }
  const waitForRoom = waiting.when(hasRoom)
  const room = Effect.suspend(() => hasRoom() ?? waitForRoom)

  const send = (frame: Uint8Array) =>
    frame.length > maxFrame ?
      Effect.die(new Error(`a frame of ${frame.length} bytes was sent, at most ${maxFrame} are allowed`)) :
      Effect.andThen(
        room,
        Effect.sync(() => {
          unsent += frame.length
          call.write(frame, () => {
            unsent -= frame.length
            if (waiting.size > 0) waiting.wake()
          })
        })
      )

  const hangUp = Effect.suspend(() => {
    if (!call.destroyed) call.end()
    if (lost !== undefined) return Effect.void
    // Reading on is what lets the peer's own end arrive.
    return Effect.ignore(
      Effect.timeout(Effect.forever(receive), flushLimit)
    )
  })

  return { connection: { description, maxFrame, send, receive }, hangUp }
}
