/**
 * One session as a state machine: packets in, packets out, all steps synchronous, time told by the caller in monotonic
 * milliseconds. It knows nothing of connections; `carry` gives it one, `Streams` does what segments ask for.
 */
import { create } from "@bufbuild/protobuf"
import { Closed_Cause, type Packet, PacketSchema, Priority, type Segment } from "../../gen/aranya/link/v1/link_pb.ts"
import { packetOverhead, toNumber } from "../frames.ts"
import type { LinkLimits } from "../LinkLimits.ts"
import type { LinkTimings } from "../LinkTimings.ts"
import { AckRate } from "./AckRate.ts"
import { Hearing } from "./Hearing.ts"
import { InOrder } from "./InOrder.ts"
import type { LinkStream } from "./LinkStream.ts"
import { Outbox } from "./Outbox.ts"
import { Signal } from "./Signal.ts"
import { Steps } from "./Steps.ts"
import { type Sent, Unacknowledged } from "./Unacknowledged.ts"

export type Side = "device" | "operator"

/**
 * After so many bytes an acknowledgement leaves soon, so that the peer's window keeps moving; after many more at once. On a fast line one
 * for each packet would cost both sides as much as the packets.
 */
const acknowledgeAfter = 8 * 1024
const soonMillis = 5
const acknowledgeAtOnce = 256 * 1024
const leastChunk = 4 * 1024
/** A gap younger than this may be mere reordering. */
const reorderMillis = 30
/** So many connections in a row were alive and got nothing across before what is too large for the line is given up. */
const mostInVain = 3
const outOfRange = "the peer broke the protocol: numbers out of range"

/** What a conversation hands in-order segments and its end to. */
export interface Listener {
  /** What the segment did wrong, if anything. */
  readonly segment: (segment: Segment) => string | undefined
  /** The peer has this one of ours. */
  readonly acknowledged: (segment: Segment) => void
  readonly leaving: (stream: LinkStream) => void
  /** Whether something is under way that somebody waits for. */
  readonly busy: () => boolean
  readonly ended: (why: string, ours: boolean) => void
}

export class Conversation extends Steps {
  readonly side: Side
  readonly timings: LinkTimings
  readonly limits: LinkLimits
  readonly outbox = new Outbox()
  /** Notified when something was sent that wants an answer, and nothing before it did. */
  readonly asked = new Signal()
  listener: Listener | undefined
  /** Tells the connection that carries it that it is not needed any more. */
  private dismiss: ((why: string) => void) | undefined
  /** Which connection carries it; counts up, so that an old one knows that it was replaced. */
  carrier = 0
  carried = false
  /** Whether a device has yet to take the session up on the connection that is new. */
  private takesUp = false
  over: { readonly why: string; readonly ours: boolean } | undefined
  /** Set when this side wants to end it: the farewell to send. */
  farewell: string | undefined
  /** What becomes of this side then. */
  farewellCause: Closed_Cause = Closed_Cause.UNSPECIFIED
  /** What the peer said of itself when it ended the session. */
  peerCause: Closed_Cause = Closed_Cause.UNSPECIFIED
  private farewellLeft = false
  rate: AckRate
  readonly hearing: Hearing

  private readonly unacknowledged = new Unacknowledged()
  private readonly inOrder: InOrder
  private nextSequence = 1
  private acknowledged = 0
  private commandsUnderWay = 0
  private othersUnderWay = 0
  private controlUnacknowledged = 0
  private progressAt = 0
  private resends = 0
  private probe: { readonly sequence: number; readonly at: number } | undefined
  /** What left before may be lost: it is where nothing more is acknowledged until something would be sent again. */
  private doubtedBefore: number | undefined
  /** Connections in a row over which the peer was heard, and nothing got across for as long as a beat. */
  private inVain = 0
  private questionHeard = 0
  private ackAt: number | undefined
  private unackedBytes = 0

  constructor(side: Side, timings: LinkTimings, limits: LinkLimits) {
    super()
    this.side = side
    this.timings = timings
    this.limits = limits
    this.rate = new AckRate(timings.queueMillis, limits.inFlight)
    this.inOrder = new InOrder(limits.heldSegments, limits.heldBytes)
    this.hearing = new Hearing(timings, () => this.listener?.busy() === true)
  }

  /** Every sequence of the peer up to this one was received. */
  get received(): number {
    return this.inOrder.received
  }

  /** Bytes received beyond a gap. */
  get beyondGap(): number {
    return this.inOrder.heldBytes
  }

  /** Bytes sent and not acknowledged. */
  get underWay(): number {
    return this.commandsUnderWay + this.othersUnderWay
  }

  /** Credits, ends and refusals that wait to be sent or acknowledged. */
  get answers(): number {
    return this.outbox.waiting + this.controlUnacknowledged
  }

  /** Bytes per millisecond as measured on this connection, 0 while unknown. */
  get measuredRate(): number {
    return this.rate.rate
  }

  /** When this side sent the newest thing of which it knows that the peer has it. */
  get acknowledgedAt(): number | undefined {
    return this.hearing.acknowledgedAt
  }

  /** A device asks when that is older than this, whatever else it hears. */
  get askWithin(): number {
    return this.hearing.askWithin
  }

  set askWithin(millis: number) {
    this.hearing.askWithin = millis
  }

  /** A new connection carries it, with packets of at most `plain` bytes: what the peer did not receive goes out again. */
  attach(now: number, plain: number, peerReceived: number, dismiss: (why: string) => void): number {
    const former = this.dismiss
    if (former !== undefined) this.afterwards(() => former("another connection took over"))
    if (this.carried) this.judge(now)
    this.dismiss = dismiss
    this.carrier += 1
    this.carried = true
    this.takesUp = this.side === "device"
    this.hearing.begin(now)
    this.progressAt = now
    this.resends = 0
    this.probe = undefined
    this.doubtedBefore = undefined
    this.questionHeard = 0
    // The peer learns at once that it was heard.
    this.ackAt = now
    if (peerReceived < this.nextSequence) this.acknowledge(peerReceived, now)
    else this.end(outOfRange, false)
    // Only now: what was under way during an outage says nothing of this connection's round trip.
    this.rate = new AckRate(this.timings.queueMillis, this.limits.inFlight)
    this.unacknowledged.allAgain()
    this.commandsUnderWay = 0
    this.othersUnderWay = 0
    // Segments keep their numbers, and so their sizes.
    if (this.unacknowledged.largest > plain - packetOverhead) {
      this.end("what was sent over the connection before does not fit the frames of the new one", false)
    } else if (this.inVain >= mostInVain && this.unacknowledged.largest > leastChunk) {
      // A frame surfaces as a whole or not at all: on a line so slow neither side ever hears the other out. What a new session sends is smaller.
      this.end("what was sent over the connection before does not get across this line", false)
    }
    return this.carrier
  }

  detach(carrier: number, now: number): void {
    if (this.carrier !== carrier) return
    this.judge(now)
    this.carried = false
    this.dismiss = undefined
  }

  /** A connection is gone. One that broke soon, or was dead, says nothing of what gets across. */
  private judge(now: number): void {
    const since = this.unacknowledged.oldest?.firstLeft
    if (this.hearing.spoken && since !== undefined && now - since >= this.timings.beatMillis) this.inVain += 1
  }

  end(why: string, ours: boolean): void {
    if (this.over !== undefined) return
    this.over = { why, ours }
    this.listener?.ended(why, ours)
    const { dismiss } = this
    if (dismiss !== undefined) this.afterwards(() => dismiss(why))
  }

  /** The writer calls this after each packet has left. */
  sent(): void {
    if (this.farewell !== undefined && this.farewellLeft) this.end(this.farewell, true)
  }

  packet(packet: Packet, now: number): void {
    this.hearing.heard(now)
    if (packet.beat || packet.welcome !== undefined) this.ackAt = now
    const ack = toNumber(packet.ack)
    const held = toNumber(packet.held)
    const first = toNumber(packet.sequence)
    if (ack === undefined || held === undefined || first === undefined || ack >= this.nextSequence) {
      return this.end(outOfRange, false)
    }
    if (packet.question > 0) this.questionHeard = Math.max(this.questionHeard, packet.question)
    this.acknowledge(ack, now)
    this.hearing.answered(packet.answered)
    this.probed(ack, held, now)
    if (held > ack) this.missing(ack, held, now)
    if (packet.segments.length > 0) this.segments(first, packet.segments, now)
    if (packet.closed !== undefined) {
      this.peerCause = packet.closed.cause
      this.end(`the peer ended it: ${packet.closed.why}`, false)
    }
  }

  private segments(first: number, segments: ReadonlyArray<Segment>, now: number): void {
    if (first === 0) return this.end("the peer broke the protocol: segments without sequence", false)
    let again = false
    for (const [index, segment] of segments.entries()) {
      if (!this.inOrder.offer(first + index, segment)) again = true
      this.unackedBytes += segment.data.length
    }
    for (let next = this.inOrder.take(); next !== undefined; next = this.inOrder.take()) {
      const violation = this.listener?.segment(next) ?? this.unheard
      if (violation !== undefined) return this.end(`the peer broke the protocol: ${violation}`, false)
    }
    const delay = again || this.inOrder.gap || this.unackedBytes >= acknowledgeAtOnce
      ? 0
      : this.unackedBytes >= acknowledgeAfter
      ? soonMillis
      : this.timings.ackDelayMillis
    this.ackAt = Math.min(this.ackAt ?? Infinity, now + delay)
  }

  /** Few bytes can ask for an answer that takes many; a peer that acknowledges none of them could fill the memory with these. */
  private get unheard(): string | undefined {
    return this.answers < this.limits.answers ? undefined : "more answers than may stay without acknowledgement"
  }

  private acknowledge(upTo: number, now: number): void {
    if (upTo <= this.acknowledged) return
    this.acknowledged = upTo
    this.progressAt = now
    this.resends = 0
    this.doubtedBefore = undefined
    this.inVain = 0
    this.hearing.progressed()
    let bytes = 0
    let newest: Sent | undefined
    for (const sent of this.unacknowledged.acknowledge(upTo)) {
      bytes += sent.bytes
      if (sent.control) this.controlUnacknowledged -= 1
      this.land(sent)
      this.listener?.acknowledged(sent.segment)
      newest = sent
    }
    const departure = newest?.times === 1 ? newest.departure : undefined
    if (departure !== undefined) this.hearing.known(departure.at)
    this.rate.arrive(now, bytes, departure, newest?.firstLeft)
  }

  /**
   * The oldest was sent again for lack of any answer, and has arrived. If nothing beyond it was held, all that left before
   * it is gone too; waiting for each in turn would take as long again. An answer too soon for a round trip is not to what was sent
   * again: the line is slow, and the rest may be under way as that was.
   */
  private probed(ack: number, held: number, now: number): void {
    const { probe } = this
    if (probe === undefined || ack < probe.sequence) return
    this.probe = undefined
    if (held !== 0) return
    if (now - probe.at < (this.rate.roundTrip ?? Infinity) / 2) this.doubtedBefore = probe.at
    else this.lost(probe.at)
  }

  private lost(before: number): void {
    for (const sent of this.unacknowledged.leftBefore(this.acknowledged, Infinity, before)) this.again(sent)
  }

  private missing(after: number, before: number, now: number): void {
    const leftBefore = now - Math.max(reorderMillis, 1.25 * (this.rate.roundTrip ?? 0))
    for (const sent of this.unacknowledged.leftBefore(after, before, leftBefore)) this.again(sent)
  }

  private again(sent: Sent): void {
    this.land(sent)
    this.unacknowledged.again(sent)
  }

  private depart(sent: Sent, now: number): void {
    sent.departure = this.rate.depart(now, this.commandsUnderWay + this.othersUnderWay)
    sent.firstLeft ??= now
    sent.times += 1
    if (sent.command) this.commandsUnderWay += sent.bytes
    else this.othersUnderWay += sent.bytes
    this.awaitAnswer(now)
  }

  private awaitAnswer(now: number): void {
    if (this.hearing.awaitAnswer(now, this.underWay)) this.wake(this.asked)
  }

  private land(sent: Sent): void {
    if (sent.departure === undefined) return
    if (sent.command) this.commandsUnderWay -= sent.bytes
    else this.othersUnderWay -= sent.bytes
  }

  /** The next packet to send, with at most `plain` bytes; undefined while there is nothing to say. */
  next(now: number, plain: number): Packet | undefined {
    if (this.farewell !== undefined) {
      if (this.farewellLeft) return undefined
      this.farewellLeft = true
      return this.stamp(create(PacketSchema, { closed: { why: this.farewell, cause: this.farewellCause } }))
    }
    // The operator waits for it no longer than for a handshake: what is to be sent again may take many times that.
    if (this.takesUp) {
      this.takesUp = false
      return this.stamp(create(PacketSchema))
    }
    const oldest = this.unacknowledged.oldest
    if (oldest?.departure !== undefined && now >= this.resendAt(oldest)) {
      this.resends += 1
      if (this.doubtedBefore !== undefined) this.lost(this.doubtedBefore)
      this.probe = { sequence: oldest.sequence, at: now }
      this.again(oldest)
    }
    const packet = this.resend(plain, now) ?? this.fresh(plain, now)
    if (packet !== undefined) return this.stamp(packet)
    if (this.side === "device" && now >= this.hearing.askAt) {
      if (this.listener?.busy() === true) this.awaitAnswer(now)
      return this.stamp(create(PacketSchema, { beat: true, question: this.hearing.question(now) }))
    }
    return this.ackAt !== undefined && now >= this.ackAt ? this.stamp(create(PacketSchema)) : undefined
  }

  private stamp(packet: Packet): Packet {
    packet.ack = BigInt(this.received)
    packet.held = BigInt(this.inOrder.beyond)
    packet.answered = this.questionHeard
    this.questionHeard = 0
    this.ackAt = undefined
    this.unackedBytes = 0
    return packet
  }

  private resend(plain: number, now: number): Packet | undefined {
    const first = this.unacknowledged.due()
    if (first === undefined) return undefined
    const room = this.rate.window - this.commandsUnderWay - this.othersUnderWay
    // Only the oldest can free what others occupy, so it goes whatever they occupy.
    if (room <= 0 && first !== this.unacknowledged.oldest) return undefined
    const segments: Array<Segment> = []
    let left = Math.min(plain, room)
    let expected = first.sequence
    for (let sent: Sent | undefined = first; sent?.sequence === expected; sent = this.unacknowledged.due()) {
      if (segments.length > 0 && sent.bytes > left) break
      segments.push(sent.segment)
      this.depart(sent, now)
      left -= sent.bytes
      expected += 1
    }
    return create(PacketSchema, { sequence: BigInt(first.sequence), segments })
  }

  private fresh(plain: number, now: number): Packet | undefined {
    // What is to be sent again comes first: nothing newer could be acted on before it.
    if (this.unacknowledged.due() !== undefined) return undefined
    // An acknowledgement that is due is company enough.
    if (!this.outbox.pressing(now) && (this.ackAt === undefined || now < this.ackAt)) return undefined
    const window = this.rate.window
    const chunk = Math.max(leastChunk, Math.floor(window / 4))
    const filled = this.outbox.fill(
      {
        packet: plain,
        chunk,
        commands: this.limits.commandsInFlight - this.commandsUnderWay,
        others: window - this.othersUnderWay
      },
      (stream) => this.listener?.leaving(stream),
      (stream) => this.wake(stream.drained)
    )
    if (filled.length === 0) return undefined
    const sequence = this.nextSequence
    for (const { bytes, control = false, priority, segment } of filled) {
      const command = priority === Priority.COMMAND
      const sent: Sent = {
        sequence: this.nextSequence++,
        segment,
        bytes,
        command,
        control,
        departure: undefined,
        firstLeft: undefined,
        times: 0
      }
      if (control) this.controlUnacknowledged += 1
      this.unacknowledged.add(sent)
      this.depart(sent, now)
    }
    return create(PacketSchema, { sequence: BigInt(sequence), segments: filled.map(({ segment }) => segment) })
  }

  /** Whether `next` is worth asking before `until`, its deadline as it was. */
  wantsAsking(now: number, until: number): boolean {
    // What may wait has its time from when it is first looked at.
    return this.takesUp || this.outbox.pressing(now) || this.farewell !== undefined ||
      this.unacknowledged.due() !== undefined ||
      this.deadline(now) < until
  }

  private resendAt(oldest: Sent): number {
    const { ackDelayMillis, resendFirstMillis, resendMostMillis } = this.timings
    const patience = Math.max(resendFirstMillis, this.rate.patience + ackDelayMillis)
    // Whatever the limit: nothing is sent again before it can have been answered, the first time.
    const trip = this.resends === 0 ? Math.max(this.rate.longest, this.rate.roundTrip ?? 0) + ackDelayMillis : 0
    return Math.max(oldest.departure?.at ?? 0, this.progressAt) +
      Math.max(trip, Math.min(resendMostMillis, patience * 2 ** Math.min(this.resends, 10)))
  }

  /** When the connection will have to be given up if nothing is heard until then. */
  get giveUpAt(): number {
    return this.hearing.giveUpAt(this.rate.rate)
  }

  /** The reason to give the connection up, if there is one by now. */
  giveUp(now: number): string | undefined {
    return this.hearing.giveUp(now, this.rate.rate)
  }

  /** When `next`, which had nothing to say at `now`, may have something although nothing happened. */
  deadline(now: number): number {
    const oldest = this.unacknowledged.oldest
    return Math.min(
      this.hearing.silentAt,
      this.ackAt ?? Infinity,
      this.outbox.patientUntil(now),
      this.side === "device" ? this.hearing.askAt : Infinity,
      oldest?.departure === undefined ? Infinity : this.resendAt(oldest)
    )
  }
}
