/** One stream of a session, a channel or a request: what waits to be sent, what arrived, and what each side may still send. */
import { create } from "@bufbuild/protobuf"
import type { Exit, Fiber } from "effect"
import { ErrorCode, Kind, type Priority, type Segment, SegmentSchema } from "../../gen/aranya/link/v1/link_pb.ts"
import type { LinkError } from "../Session.ts"
import type { TrafficClass } from "../Traffic.ts"
import { Signal } from "./Signal.ts"

/** Each message costs this much credit beyond its bytes, so that small ones cannot fill a memory either. */
export const messageCost = 32

export interface Message {
  readonly data: Uint8Array
  /** Length after inflating; 0 where the data is the message itself. */
  readonly inflated: number
}

interface Outgoing extends Message {
  readonly kind: Kind
  sent: number
}

/** A message of which pieces are to come. */
export interface Partial {
  readonly length: number
  readonly inflated: number
  /** Whether it opens its stream. */
  readonly opening: boolean
  /** Whether it is let in piece by piece; its memory is then that of the credit by which it came. */
  readonly fits: boolean
  /** What came of it, `filled` bytes, in one: many small pieces would take many times their bytes. */
  whole: Uint8Array | undefined
  filled: number
}

export class LinkStream {
  readonly kind: "channel" | "request"
  /** Whether this side opened it. */
  readonly ours: boolean
  readonly priority: Priority
  readonly traffic: TrafficClass
  /** 0 until the first segment leaves. */
  id = 0

  /** Something arrived, or receiving ended. */
  readonly changed = new Signal()
  /** There is room in the queue again, or sending ended. */
  readonly drained = new Signal()
  /** Why nothing more can be sent, or undefined while it can. */
  sendFailure: LinkError | undefined
  /** How receiving ends once what arrived was read. */
  receiveEnd: { readonly failure: LinkError | undefined } | undefined

  // Sending
  readonly queue: Array<Outgoing> = []
  readonly tail: Array<Segment> = []
  queuedBytes = 0
  sentBytes = 0
  /** Of data, which the peer is known to have. */
  acknowledgedBytes = 0
  credit: number
  /** Whether it stands in the outbox. */
  listed = false
  /** How long what it has to say may wait for something else to leave with, in milliseconds; and until when it does. */
  patience = 0
  patientUntil: number | undefined
  /** What to do once queue and tail are empty. */
  whenSent: (() => void) | undefined
  /** Whether compressing has paid lately: messages left to skip before the next attempt, and how many to skip then. */
  skip = 0
  skipNext = 1

  // Receiving
  readonly arrived: Array<Message> = []
  partial: Partial | undefined
  /** Segments that came while memory for a message before them is awaited. */
  backlog: Array<Segment> | undefined
  giveUpWaiting: (() => void) | undefined
  /** Whether the segment received last said that its message goes on. */
  unfinished = false
  /** The end or failure that was received, even if what came before is not yet acted on. */
  lastWord: Kind | undefined
  /** Credit beyond what was consumed, when nothing is under way. */
  window: number
  /** Bytes of the pool this stream holds; `extra` of them for messages that grow when inflated. */
  reserved: number
  extra = 0
  /** Cost of what was received, of what was put together, and of what was consumed; and what the peer may send in all. */
  received = 0
  processed = 0
  consumed = 0
  granted: number
  grantedAt = 0
  /** The peer said that its direction has ended. */
  peerEnded = false
  /** Nobody reads any more. */
  released = false

  /** The reply to a request of ours; it may come before anybody waits for it. */
  reply: Exit.Exit<Uint8Array, LinkError> | undefined
  replied: ((reply: Exit.Exit<Uint8Array, LinkError>) => void) | undefined
  /** Whether the handler of a stream that the peer opened is at work, or about to be. */
  served = false
  handler: Fiber.Fiber<unknown, unknown> | undefined
  /** Whether this side's direction has ended, and the end has left. */
  ended = false
  endLeft = false

  constructor(options: {
    readonly kind: "channel" | "request"
    readonly ours: boolean
    readonly priority: Priority
    /** As its opener knows it; the other side takes requests for control and channels for streams. */
    readonly traffic?: TrafficClass | undefined
    readonly window: number
  }) {
    const { kind, window } = options
    this.kind = kind
    this.ours = options.ours
    this.priority = options.priority
    this.traffic = options.traffic ?? (kind === "request" ? "control" : "streams")
    this.window = window
    this.reserved = window
    this.credit = window
    this.granted = window
  }

  push(kind: Kind, message: Message): void {
    this.queue.push({ ...message, kind, sent: 0 })
    this.queuedBytes += message.data.length
  }

  /** Whether the next segment could leave as far as this stream is concerned. */
  get ready(): boolean {
    const next = this.queue[0]
    if (next === undefined) return this.tail.length > 0
    return this.credit - this.sentBytes > (next.sent === 0 ? messageCost : 0)
  }

  get spent(): boolean {
    return this.queue.length === 0 && this.tail.length === 0
  }

  /** The next segment, with at most `room` bytes of data. */
  take(room: number): Segment | undefined {
    const next = this.queue[0]
    if (next === undefined) {
      const last = this.tail.shift()
      if (last !== undefined) last.stream = this.id
      return last
    }
    const first = next.sent === 0
    const credit = this.credit - this.sentBytes - (first ? messageCost : 0)
    const left = next.data.length - next.sent
    const size = Math.min(left, room, credit)
    if (credit < 0 || (size <= 0 && left > 0)) return undefined
    const more = size < left
    const segment = create(SegmentSchema, {
      stream: this.id,
      kind: first ? next.kind : Kind.UNSPECIFIED,
      data: next.data.subarray(next.sent, next.sent + size),
      more
    })
    if (first) {
      if (more) segment.length = next.data.length
      segment.inflated = next.inflated
      if (next.kind !== Kind.UNSPECIFIED) segment.priority = this.priority
      this.sentBytes += messageCost
    }
    next.sent += size
    this.sentBytes += size
    this.queuedBytes -= size
    if (!more) this.queue.shift()
    return segment
  }

  /** Drops what was not sent. */
  clear(): void {
    this.queue.length = 0
    this.tail.length = 0
    this.queuedBytes = 0
  }
}

export const endSegment = (): Segment => create(SegmentSchema, { kind: Kind.END })

/** Of characters. */
export const mostDetail = 1024

export const failSegment = (error: ErrorCode, detail: string): Segment =>
  create(SegmentSchema, {
    kind: Kind.FAIL,
    error,
    detail: detail.length > mostDetail ? `${detail.slice(0, mostDetail - 1)}…` : detail
  })

export const creditSegment = (stream: number, credit: number): Segment =>
  create(SegmentSchema, { stream, kind: Kind.CREDIT, credit: BigInt(credit) })

export const codes: { readonly [reason in LinkError["reason"]]: ErrorCode } = {
  Refused: ErrorCode.REFUSED,
  Overloaded: ErrorCode.OVERLOADED,
  TooLarge: ErrorCode.TOO_LARGE,
  Timeout: ErrorCode.TIMEOUT,
  SessionLost: ErrorCode.REFUSED,
  Closed: ErrorCode.CANCELLED,
  OverBudget: ErrorCode.REFUSED
}

export const reasons: { readonly [code in ErrorCode]: LinkError["reason"] } = {
  [ErrorCode.UNSPECIFIED]: "Closed",
  [ErrorCode.REFUSED]: "Refused",
  [ErrorCode.OVERLOADED]: "Overloaded",
  [ErrorCode.TOO_LARGE]: "TooLarge",
  [ErrorCode.TIMEOUT]: "Timeout",
  [ErrorCode.CANCELLED]: "Closed"
}
