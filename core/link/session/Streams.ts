/** The streams of a session: acts on segments in order, keeps credits and memory, and says when a message is complete. */
import { Effect, Exit } from "effect"
import { ErrorCode, Kind, type Priority, type Segment } from "../../gen/aranya/link/v1/link_pb.ts"
import type { Cryptography } from "../Cryptography.ts"
import { toNumber } from "../frames.ts"
import { LinkError } from "../Session.ts"
import type { TrafficClass } from "../Traffic.ts"
import { alone } from "./alone.ts"
import type { Conversation } from "./Conversation.ts"
import {
  creditSegment,
  endSegment,
  failSegment,
  type LinkStream,
  type Message,
  messageCost,
  mostDetail,
  type Partial,
  reasons
} from "./LinkStream.ts"
import { pack, unpack } from "./packing.ts"
import { StreamTable } from "./StreamTable.ts"

/** A channel message may inflate to this: it is inflated only when it is read, so only one at a time exists. */
export const channelInflated = 64 * 1024
/** How long a peer may take nothing of what was sent before a close, and a handler to notice that its channel is gone. */
const closingMillis = 5_000

export interface Server {
  /** A request or an opening message of the peer. */
  readonly serve: (stream: LinkStream, message: Message) => void
  /** What was not served yet is not to be. */
  readonly drop: (stream: LinkStream) => void
}

export class Streams {
  readonly conversation: Conversation
  readonly cryptography: Cryptography["Service"]
  readonly table: StreamTable
  server: Server | undefined
  private readonly fork: (effect: Effect.Effect<void>) => unknown

  constructor(
    conversation: Conversation,
    cryptography: Cryptography["Service"],
    now: () => number,
    fork: (effect: Effect.Effect<void>) => unknown
  ) {
    this.conversation = conversation
    this.cryptography = cryptography
    this.fork = fork
    this.table = new StreamTable(conversation, now)
  }

  /** Why nothing can be asked of this session, once it is over. */
  get lost(): LinkError | undefined {
    const { over } = this.conversation
    return over && new LinkError({ reason: over.ours ? "Closed" : "SessionLost", detail: over.why })
  }

  // What this side does

  start(
    kind: "channel" | "request",
    data: Uint8Array,
    priority: Priority,
    options: { readonly traffic?: TrafficClass; readonly compress?: boolean; readonly patienceMillis?: number } = {}
  ): Exit.Exit<LinkStream, LinkError> {
    const { lost } = this
    if (lost !== undefined) return Exit.fail(lost)
    const { requestQueue } = this.conversation.limits
    if (this.table.queuedBytes + data.length > requestQueue) return overloaded("too much waits to be sent")
    const stream = this.table.open(kind, priority, options.traffic)
    if (stream === undefined) return overloaded("as many streams are open as this link has memory for")
    const packed = options.compress === false ? { data, inflated: 0 } : this.pack(stream, data)
    stream.patience = options.patienceMillis ?? 0
    stream.push(kind === "request" ? Kind.REQUEST : Kind.OPEN, packed)
    this.conversation.outbox.list(stream)
    return Exit.succeed(stream)
  }

  send(stream: LinkStream, data: Uint8Array): void {
    stream.push(Kind.UNSPECIFIED, this.pack(stream, data))
    this.conversation.outbox.list(stream)
  }

  private pack(stream: LinkStream, data: Uint8Array): Message {
    const oneShot = stream.kind === "request" || stream.queue.length === 0 && stream.sentBytes === 0
    if (!oneShot && data.length > channelInflated) return { data, inflated: 0 }
    return pack(this.cryptography, stream, data, this.conversation.measuredRate)
  }

  /** This side's direction ends after what was sent. */
  endSending(stream: LinkStream): void {
    if (stream.ended) return
    stream.ended = true
    if (stream.sendFailure !== undefined) return
    stream.tail.push(endSegment())
    stream.whenSent = () => {
      stream.endLeft = true
      this.table.settle(stream)
    }
    this.conversation.outbox.list(stream)
  }

  /** Both directions end after what was sent; `code` UNSPECIFIED is an end without error. */
  closeInBand(stream: LinkStream, code: ErrorCode, detail: string): void {
    this.table.release(stream)
    if (!this.table.live.has(stream)) return
    if (stream.sendFailure !== undefined || (stream.endLeft && stream.peerEnded)) {
      return this.table.forget(stream)
    }
    stream.ended = true
    stream.sendFailure = ended
    stream.receiveEnd ??= { failure: ended }
    this.wake(stream)
    stream.tail.push(failSegment(code, detail))
    stream.whenSent = () => this.table.forget(stream)
    this.conversation.outbox.list(stream)
    // A handler's last words wait for a slow reader; an opener that left must not be kept by a peer that takes nothing.
    if (stream.ours) this.fork(this.givingUp(stream))
  }

  private givingUp(stream: LinkStream): Effect.Effect<void> {
    const look = Effect.suspend(() => {
      if (!this.table.live.has(stream)) return Effect.void
      if (stream.ready) return this.givingUp(stream)
      this.failNow(stream, ErrorCode.CANCELLED, "")
      return Effect.void
    })
    return Effect.delay(look, closingMillis)
  }

  /** Both directions end now; what was not sent is dropped. */
  failNow(stream: LinkStream, code: ErrorCode, detail: string): void {
    this.conversation.step(() => {
      if (!this.table.live.has(stream)) return
      if (this.table.knows(stream)) {
        const segment = failSegment(code, detail)
        segment.stream = stream.id
        this.conversation.outbox.urgent(segment)
      }
      this.fail(stream, new LinkError({ reason: reasons[code] ?? "Refused", detail }))
      this.table.forget(stream)
    })
  }

  /** Takes the next message of a channel; undefined where there is none. */
  read(stream: LinkStream): Uint8Array | LinkError | undefined {
    const message = stream.arrived.shift()
    if (message === undefined) return undefined
    this.table.consume(stream, message.data.length + messageCost)
    const data = unpack(this.cryptography, message)
    if (data !== undefined) return data
    const failure = new LinkError({ reason: "Refused", detail: "the message does not inflate" })
    this.failNow(stream, ErrorCode.REFUSED, failure.detail)
    return failure
  }

  // What the peer did

  acknowledged({ data, stream }: Segment): void {
    const known = data.length === 0 ? undefined : this.table.find(stream)
    if (known !== undefined) known.acknowledgedBytes += data.length
  }

  segment(segment: Segment): string | undefined {
    if (segment.detail.length > mostDetail) return "a detail that is too long"
    // It may be of a later version, and costs no credit.
    if (segment.kind < Kind.UNSPECIFIED || segment.kind > Kind.CREDIT) return undefined
    const opening = segment.kind === Kind.OPEN || segment.kind === Kind.REQUEST
    const stream = opening ? this.table.accept(segment) : this.table.find(segment.stream)
    if (typeof stream === "string") return stream
    if (stream === undefined) return undefined
    // A stream that waits for memory keeps its order; giving up and credits do not.
    if (segment.kind === Kind.CREDIT) {
      stream.credit = Math.max(stream.credit, toNumber(segment.credit) ?? 0)
      this.conversation.outbox.list(stream)
      return undefined
    }
    if (segment.kind === Kind.FAIL && segment.error === ErrorCode.CANCELLED) return this.failed(stream, segment)
    // Ends cost no credit either: of what may have to wait there is one.
    if (stream.lastWord === Kind.FAIL || (stream.lastWord === Kind.END && segment.kind !== Kind.FAIL)) {
      return "a segment after the end"
    }
    if (segment.kind === Kind.END || segment.kind === Kind.FAIL) {
      stream.lastWord = segment.kind
      segment.data = nothing
    } else {
      if (segment.more && segment.data.length === 0) return "a piece of nothing"
      stream.received += segment.data.length + (stream.unfinished ? 0 : messageCost)
      if (stream.received > stream.granted) return "more than the credit"
      stream.unfinished = segment.more
    }
    if (stream.backlog === undefined) return this.act(stream, segment)
    if (this.table.backlogged >= this.conversation.limits.heldSegments) {
      this.failNow(stream, ErrorCode.OVERLOADED, "no memory for what comes after a message")
      return undefined
    }
    segment.data = alone(segment.data)
    stream.backlog.push(segment)
    return undefined
  }

  private act(stream: LinkStream, segment: Segment): string | undefined {
    if (segment.kind === Kind.FAIL) return this.failed(stream, segment)
    if (stream.peerEnded) return "a segment after the end"
    if (segment.kind === Kind.END) {
      stream.peerEnded = true
      stream.receiveEnd ??= { failure: undefined }
      if (stream.kind === "request") this.fail(stream, new LinkError({ reason: "Refused", detail: "no reply came" }))
      this.wake(stream)
      this.table.settle(stream)
      return undefined
    }
    if (stream.released) return undefined
    return stream.partial === undefined ? this.begin(stream, segment) : this.append(stream, segment)
  }

  /** The first piece of a message: memory for all of it is reserved before anything is allocated. */
  private begin(stream: LinkStream, segment: Segment): string | undefined {
    const { data, inflated, more } = segment
    const length = more ? segment.length : data.length
    if (more && length <= data.length) return "a message longer than it said"
    const opening = segment.kind === Kind.OPEN || segment.kind === Kind.REQUEST
    // Its stream, and the memory for it, would be given back while the first is still to be answered.
    if (stream.kind === "request" && !stream.ours && !opening) return "a second message of a request"
    const oneShot = opening || stream.kind === "request"
    const most = this.table.mostMessage
    if (length + messageCost > most || inflated > (oneShot ? most : channelInflated)) {
      this.failNow(stream, ErrorCode.TOO_LARGE, `a message of ${Math.max(length, inflated)} bytes is more than ${most}`)
      return undefined
    }
    // What fits the window a stream has at least is let in by the reader's own progress: nobody waits for memory of the pool.
    const fits = !oneShot && length + messageCost <= this.conversation.limits.window
    stream.partial = { length, inflated, opening, fits, whole: undefined, filled: 0 }
    const credit = fits ? 0 : Math.max(0, length + messageCost - (stream.granted - stream.processed))
    const extra = oneShot ? Math.max(0, inflated - Math.max(length, stream.window)) : 0
    stream.processed += messageCost
    if (fits && more) this.table.letIn(stream)
    if (credit + extra === 0) return this.append(stream, segment)

    stream.backlog = [segment]
    let violation: string | undefined
    let granted = false
    const giveUp = this.table.pool.reserveLater(credit + extra, () => {
      granted = true
      stream.giveUpWaiting = undefined
      stream.reserved += credit + extra
      stream.extra += extra
      stream.granted += credit
      if (credit > 0) this.conversation.outbox.urgent(creditSegment(stream.id, stream.granted))
      violation = this.replay(stream)
    })
    if (!granted) {
      segment.data = alone(data)
      stream.giveUpWaiting = giveUp
      const waiting = stream.partial
      this.fork(
        Effect.sync(() => this.failNow(stream, ErrorCode.OVERLOADED, "no memory for a message")).pipe(
          Effect.when(Effect.sync(() => stream.partial === waiting && stream.giveUpWaiting !== undefined)),
          Effect.delay(this.conversation.timings.requestTimeoutMillis)
        )
      )
    }
    return violation
  }

  private replay(stream: LinkStream): string | undefined {
    const backlog = stream.backlog ?? []
    stream.backlog = undefined
    for (const segment of backlog) {
      // It may have to wait again, for the next message.
      const waiting = stream.backlog as Array<Segment> | undefined
      if (waiting !== undefined) {
        waiting.push(segment)
        continue
      }
      const violation = this.act(stream, segment)
      if (violation === undefined) continue
      this.conversation.end(`the peer broke the protocol: ${violation}`, false)
      return violation
    }
    return undefined
  }

  private append(stream: LinkStream, segment: Segment): string | undefined {
    const { partial } = stream
    if (partial === undefined) return undefined
    const { data, more } = segment
    const filled = partial.filled + data.length
    if (filled > partial.length || (!more && filled < partial.length)) return "a message not as long as it said"
    stream.processed += data.length
    if (more || partial.whole !== undefined) {
      partial.whole = roomFor(partial, filled)
      partial.whole.set(data, partial.filled)
    }
    partial.filled = filled
    if (more) return undefined
    stream.partial = undefined
    this.complete(stream, { data: partial.whole ?? alone(data), inflated: partial.inflated }, partial.opening)
    return undefined
  }

  private complete(stream: LinkStream, message: Message, opening: boolean): void {
    if (opening) {
      this.server?.serve(stream, message)
    } else if (stream.kind === "request") {
      const reply = unpack(this.cryptography, message)
      if (reply === undefined) {
        this.fail(stream, new LinkError({ reason: "Refused", detail: "the reply does not inflate" }))
      } else this.answer(stream, Exit.succeed(reply))
      this.table.forget(stream)
    } else {
      stream.arrived.push(message)
      this.wake(stream)
    }
  }

  private failed(stream: LinkStream, segment: Segment): undefined {
    const reason = reasons[segment.error] ?? "Refused"
    const plain = segment.error === ErrorCode.UNSPECIFIED
    const detail = segment.detail !== "" ? segment.detail : plain ? "the peer ended the channel" : "the peer gave up"
    const failure = new LinkError({ reason, detail })
    stream.peerEnded = true
    stream.sendFailure = failure
    stream.receiveEnd ??= { failure: plain ? undefined : failure }
    stream.giveUpWaiting?.()
    stream.giveUpWaiting = undefined
    stream.backlog = undefined
    stream.partial = undefined
    stream.clear()
    this.conversation.outbox.unlist(stream)
    this.answer(stream, Exit.fail(failure))
    this.wake(stream)
    this.table.unlink(stream)
    if (stream.ours) return undefined
    if (!stream.served) {
      // It has not come as a whole, or waits for its turn, or what was answered has not left: nobody is at work on it.
      this.server?.drop(stream)
      this.table.forget(stream)
      return undefined
    }
    // It may be about to begin.
    const interrupt = () => stream.handler?.interruptUnsafe()
    if (segment.error === ErrorCode.CANCELLED) this.conversation.afterwards(interrupt)
    else this.fork(Effect.delay(Effect.sync(interrupt), closingMillis))
    return undefined
  }

  // Ends

  private answer(stream: LinkStream, reply: Exit.Exit<Uint8Array, LinkError>): void {
    if (stream.reply !== undefined) return
    stream.reply = reply
    this.conversation.afterwards(() => stream.replied?.(reply))
  }

  private fail(stream: LinkStream, failure: LinkError): void {
    stream.sendFailure ??= failure
    stream.receiveEnd ??= { failure }
    this.answer(stream, Exit.fail(failure))
    this.wake(stream)
    const { handler } = stream
    if (handler !== undefined) this.conversation.afterwards(() => handler.interruptUnsafe())
  }

  private wake(stream: LinkStream): void {
    this.conversation.wake(stream.changed)
    this.conversation.wake(stream.drained)
  }

  /** The session is over. */
  end(): void {
    const failure = this.lost
    if (failure === undefined) return
    for (const stream of [...this.table.live]) {
      this.fail(stream, failure)
      this.table.forget(stream)
    }
  }
}

/** Where so many bytes of a message fit: memory for all of it where that is reserved, else for twice what has come. */
const roomFor = ({ fits, length, whole }: Partial, bytes: number): Uint8Array => {
  if (whole !== undefined && bytes <= whole.length) return whole
  const larger = new Uint8Array(fits ? Math.min(length, 2 * bytes) : length)
  if (whole !== undefined) larger.set(whole)
  return larger
}

const nothing = new Uint8Array(0)

const ended = new LinkError({ reason: "Closed", detail: "the channel has ended" })

const overloaded = (detail: string) => Exit.fail(new LinkError({ reason: "Overloaded", detail }))
