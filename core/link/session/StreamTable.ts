/** All streams of a session, by number, and the memory they hold. */
import { ErrorCode, Kind, Priority, type Segment } from "../../gen/aranya/link/v1/link_pb.ts"
import type { TrafficClass } from "../Traffic.ts"
import type { Conversation } from "./Conversation.ts"
import { creditSegment, failSegment, LinkStream, messageCost } from "./LinkStream.ts"
import { ReceivePool } from "./ReceivePool.ts"

/** A stream drained within this time after its last credit may have more; one that took longer than `slowMillis` less. */
const quickMillis = 1_000
const slowMillis = 2_000
/** Streams that were forgotten and of which frames may still pass: what they were for is known for so many. */
const rememberedStreams = 1024

/** Where messages come several at a time there is always one more to be read: half a window of them is not behind. */
const hasDrained = ({ arrived, window }: LinkStream): boolean => {
  let unread = 0
  for (const { data } of arrived) unread += data.length + messageCost
  return unread * 2 <= window
}

export class StreamTable {
  readonly pool: ReceivePool
  /** Those that hold memory or are known to the peer. */
  readonly live = new Set<LinkStream>()
  private readonly conversation: Conversation
  private readonly now: () => number
  private readonly byId = new Map<number, LinkStream>()
  /** Those that are not control. */
  private readonly trafficById = new Map<number, TrafficClass>()
  private nextId: number
  private lastPeerId = 0

  constructor(conversation: Conversation, now: () => number) {
    this.conversation = conversation
    this.now = now
    const { agentPool, operatorPool } = conversation.limits
    this.pool = new ReceivePool(conversation.side === "device" ? agentPool : operatorPool)
    this.nextId = conversation.side === "device" ? 1 : 2
  }

  /** Bytes of one message, as sent or inflated. */
  get mostMessage(): number {
    return Math.floor(this.pool.capacity * this.conversation.limits.messageShare)
  }

  /** Of all streams, to be sent. */
  get queuedBytes(): number {
    let bytes = 0
    for (const stream of this.live) bytes += stream.queuedBytes
    return bytes
  }

  /** Segments that came while memory for a message before them is awaited. */
  get backlogged(): number {
    let segments = 0
    for (const { backlog } of this.live) segments += backlog?.length ?? 0
    return segments
  }

  find(id: number): LinkStream | undefined {
    return this.byId.get(id)
  }

  /** Whether the peer may still send on it, or be told of it. */
  knows(stream: LinkStream): boolean {
    return this.byId.has(stream.id)
  }

  /** A stream of this side; undefined where there is no memory for it. It is numbered when its first segment leaves. */
  open(kind: "channel" | "request", priority: Priority, traffic?: TrafficClass): LinkStream | undefined {
    if (!this.tryOpen(kind)) return undefined
    const { window } = this.conversation.limits
    const stream = new LinkStream({ kind, ours: true, priority, traffic, window })
    this.live.add(stream)
    return stream
  }

  /** Memory for a stream to begin with: whatever people open, a request still finds some. */
  private tryOpen(kind: "channel" | "request"): boolean {
    const { window } = this.conversation.limits
    if (kind === "request") return this.pool.tryReserve(window)
    let held = 0
    for (const stream of this.live) if (stream.kind === "channel") held += stream.reserved
    return this.pool.tryOpen(window, held)
  }

  leaving(stream: LinkStream): void {
    if (stream.id !== 0) return
    stream.id = this.nextId
    this.nextId += 2
    this.know(stream)
  }

  private know(stream: LinkStream): void {
    this.byId.set(stream.id, stream)
    if (stream.traffic === "control") return
    this.trafficById.set(stream.id, stream.traffic)
    for (const oldest of this.trafficById.keys()) {
      if (this.trafficById.size <= rememberedStreams) return
      this.trafficById.delete(oldest)
    }
  }

  /** What a stream is, or was, for. */
  trafficOf(id: number): TrafficClass {
    return this.byId.get(id)?.traffic ?? this.trafficById.get(id) ?? "control"
  }

  /** The stream that a segment opens; undefined where there is no memory for it; a sentence where it cannot be. */
  accept(segment: Segment): LinkStream | string | undefined {
    if (segment.stream === 0 || segment.stream % 2 === this.nextId % 2 || segment.stream <= this.lastPeerId) {
      return "a stream cannot be opened by this number"
    }
    this.lastPeerId = segment.stream
    const kind = segment.kind === Kind.REQUEST ? "request" : "channel"
    if (!this.tryOpen(kind)) {
      const refusal = failSegment(ErrorCode.OVERLOADED, "as many streams are open as the peer has memory for")
      refusal.stream = segment.stream
      this.conversation.outbox.urgent(refusal)
      return undefined
    }
    const known = segment.priority >= Priority.COMMAND && segment.priority <= Priority.BULK
    const { window } = this.conversation.limits
    const priority = known ? segment.priority : Priority.INTERACTIVE
    const stream = new LinkStream({ kind, ours: false, priority, window })
    stream.id = segment.stream
    this.know(stream)
    this.live.add(stream)
    return stream
  }

  /** The peer cannot send on it any more; what it sent may still be read. */
  unlink(stream: LinkStream): void {
    this.byId.delete(stream.id)
    this.settle(stream)
  }

  /** Nobody will read what arrived or arrives. */
  release(stream: LinkStream): void {
    stream.released = true
    stream.arrived.length = 0
    stream.giveUpWaiting?.()
    stream.giveUpWaiting = undefined
    stream.backlog = undefined
    stream.partial = undefined
    this.settle(stream)
  }

  /** What was put together has been read: its credit returns, more of it to a stream that is quick. */
  consume(stream: LinkStream, cost: number): void {
    stream.consumed += cost
    if (stream.receiveEnd === undefined && !stream.released && stream.giveUpWaiting === undefined) this.grant(stream)
    this.settle(stream)
  }

  /** A message has begun that may be longer than the credit left: what was read meanwhile is granted, however little it is. */
  letIn(stream: LinkStream): void {
    if (stream.receiveEnd === undefined && !stream.released) this.grant(stream)
  }

  private grant(stream: LinkStream): void {
    const now = this.now()
    const { maxWindow, window } = this.conversation.limits
    const outstanding = stream.granted - stream.received
    const { partial } = stream
    const stuck = partial !== undefined && outstanding < partial.length - partial.filled
    if (outstanding * 2 > stream.window && !stuck) return
    const drained = hasDrained(stream)
    if (drained && now - stream.grantedAt < quickMillis && stream.window * 2 <= maxWindow) {
      if (this.pool.tryGrow(stream.window, this.mostMessage)) {
        stream.reserved += stream.window
        stream.window *= 2
      }
    } else if (now - stream.grantedAt > slowMillis) {
      stream.window = window
    }
    const target = stream.consumed + stream.window
    if (target <= stream.granted) return
    stream.granted = target
    stream.grantedAt = now
    this.conversation.outbox.urgent(creditSegment(stream.id, target))
  }

  /** Gives back what the stream cannot need any more, and forgets it once nobody has anything to do with it. */
  settle(stream: LinkStream): void {
    if (!this.live.has(stream)) return
    if (stream.endLeft && stream.peerEnded) this.byId.delete(stream.id)
    const unread = stream.received - stream.consumed
    const most = stream.released
      ? this.conversation.limits.window
      : stream.peerEnded
      ? unread
      : Math.max(stream.window, stream.granted - stream.consumed)
    const excess = stream.reserved - (most + stream.extra)
    if (excess > 0) {
      stream.reserved -= excess
      this.pool.release(excess)
    }
    const known = stream.id === 0 || this.byId.has(stream.id)
    if (!known && stream.handler === undefined && (stream.released || unread === 0)) this.forget(stream)
  }

  /** An inflated opening message has been handed over, or its handler is done. */
  releaseExtra(stream: LinkStream): void {
    stream.extra = 0
    this.settle(stream)
  }

  forget(stream: LinkStream): void {
    if (!this.live.delete(stream)) return
    this.byId.delete(stream.id)
    stream.giveUpWaiting?.()
    stream.giveUpWaiting = undefined
    stream.backlog = undefined
    stream.clear()
    this.conversation.outbox.unlist(stream)
    const { reserved } = stream
    stream.reserved = 0
    this.pool.release(reserved)
  }
}
