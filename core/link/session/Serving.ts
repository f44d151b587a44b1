/** Gives what the peer asks to the handlers: requests up to a bound at a time, in order of arrival within each class. */
import { Cause, Effect, Exit, type Fiber, Option } from "effect"
import { ErrorCode } from "../../gen/aranya/link/v1/link_pb.ts"
import { type Handlers, LinkError } from "../Session.ts"
import { channelOf } from "./channelOf.ts"
import { codes, type LinkStream, type Message, messageCost } from "./LinkStream.ts"
import { unpack } from "./packing.ts"
import type { Streams } from "./Streams.ts"

/** A reply that says no more than that it was done. */
const shortReply = 64

/** It waits for company only while no more of the peer's requests are worked on. */
const mostBeside = 1

/** Starts a fiber that the session's scope owns. */
export type Fork = <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>

export class Serving {
  private readonly streams: Streams
  private readonly fork: Fork
  private readonly waiting: ReadonlyArray<Array<{ readonly stream: LinkStream; readonly message: Uint8Array }>> = [
    [],
    [],
    [],
    [],
    []
  ]
  private handlers: Handlers | undefined
  private running = 0

  constructor(streams: Streams, fork: Fork) {
    this.streams = streams
    this.fork = fork
  }

  /** What came before waits for this. */
  begin(handlers: Handlers): void {
    this.handlers = handlers
    this.streams.conversation.step(() => this.dispatch())
  }

  serve(stream: LinkStream, packed: Message): void {
    const message = unpack(this.streams.cryptography, packed)
    if (message === undefined) {
      return this.streams.failNow(stream, ErrorCode.REFUSED, "the message does not inflate")
    }
    if (stream.kind === "channel") this.streams.table.consume(stream, packed.data.length + messageCost)
    this.waiting[stream.priority]?.push({ stream, message })
    this.dispatch()
  }

  /** The peer has given up what nobody has begun to answer. */
  drop(stream: LinkStream): void {
    const list = this.waiting[stream.priority] ?? []
    const at = list.findIndex((each) => each.stream === stream)
    if (at >= 0) list.splice(at, 1)
  }

  private dispatch(): void {
    const { handlers } = this
    if (handlers === undefined) return
    const { concurrentRequests } = this.streams.conversation.limits
    for (const list of this.waiting) {
      for (let next = list[0]; next !== undefined; next = list[0]) {
        const { message, stream } = next
        if (stream.kind === "request" && this.running >= concurrentRequests) break
        list.shift()
        // The session may be over.
        if (stream.receiveEnd?.failure !== undefined || stream.sendFailure !== undefined) {
          this.streams.table.forget(stream)
          continue
        }
        stream.served = true
        this.streams.conversation.afterwards(() => this.run(handlers, stream, message))
        if (stream.kind === "request") this.running += 1
      }
    }
  }

  private run(handlers: Handlers, stream: LinkStream, message: Uint8Array): void {
    const { streams } = this
    // Observed rather than followed by an effect: a fiber interrupted before it began runs no finalizer.
    if (stream.kind === "request") {
      const fiber = this.fork(Effect.suspend(() => handlers.onRequest(message)))
      stream.handler = fiber
      fiber.addObserver((exit) =>
        streams.conversation.step(() => {
          this.running -= 1
          this.done(stream, exit, (reply) => {
            // A peer that asks much at a time has its next requests wait for this.
            const alone = this.running <= mostBeside && reply.length <= shortReply
            stream.patience = alone ? streams.conversation.timings.replyDelayMillis : 0
            streams.send(stream, reply)
            stream.whenSent = () => streams.table.forget(stream)
          })
          this.dispatch()
        })
      )
    } else {
      const fiber = this.fork(Effect.scoped(Effect.suspend(() => handlers.onOpen(message, channelOf(streams, stream)))))
      stream.handler = fiber
      fiber.addObserver((exit) =>
        streams.conversation.step(() =>
          this.done(stream, exit, () => streams.closeInBand(stream, ErrorCode.UNSPECIFIED, ""))
        )
      )
    }
  }

  private done<A>(stream: LinkStream, exit: Exit.Exit<A, LinkError>, succeed: (value: A) => void): void {
    const { streams } = this
    stream.handler = undefined
    stream.served = false
    streams.table.releaseExtra(stream)
    if (Exit.isSuccess(exit)) {
      if (stream.kind === "request" && stream.sendFailure !== undefined) return streams.table.forget(stream)
      return succeed(exit.value)
    }
    if (Cause.hasInterruptsOnly(exit.cause)) {
      return streams.failNow(stream, ErrorCode.CANCELLED, "the handler was interrupted")
    }
    const failure = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
    const code = failure === undefined ? ErrorCode.REFUSED : codes[failure.reason]
    const told = code === ErrorCode.CANCELLED ? ErrorCode.REFUSED : code
    streams.closeInBand(stream, told, failure?.detail ?? "internal error")
    if (failure === undefined) this.fork(Effect.logError("A handler of the link failed", exit.cause))
  }
}
