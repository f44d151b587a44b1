/** The two ends of a session with a line of some length, rate and loss between them, and nothing else: hours of it take moments. */
import type { Packet } from "../../../core/gen/aranya/link/v1/link_pb.ts"
import { Kind, Priority } from "../../../core/gen/aranya/link/v1/link_pb.ts"
import { defaultLimits } from "../../../core/link/LinkLimits.ts"
import { defaultTimings } from "../../../core/link/LinkTimings.ts"
import { encodePacket } from "../../../core/link/packetBytes.ts"
import { Conversation, type Side } from "../../../core/link/session/Conversation.ts"
import { LinkStream } from "../../../core/link/session/LinkStream.ts"
import { makeDice } from "../../fuzz/Dice.ts"

export interface LineOptions {
  readonly roundTripMillis: number
  readonly bytesPerSecond: number
  /** Share of the packets that do not arrive. */
  readonly loss?: number
  readonly seed?: number
}

/** What sealing and framing add to a packet. */
const sealed = 26
const plain = 60_000

export class Line {
  readonly device = this.side("device")
  readonly operator = this.side("operator")
  now = 0
  /** Bytes put on the wire, either way. */
  bytes = 0
  private streams = 0
  private options: LineOptions
  private chance: (share: number) => boolean
  private wire: { readonly [side in Side]: Array<{ readonly at: number; readonly packet: Packet }> }
  private free: { [side in Side]: number }

  constructor(options: LineOptions) {
    this.options = options
    this.chance = makeDice(options.seed ?? 1, 0).chance
    this.wire = { device: [], operator: [] }
    this.free = { device: 0, operator: 0 }
    this.connect(options)
  }

  /** A new connection, by another line from now on. */
  connect(options: LineOptions = this.options): void {
    const { device, now, operator } = this
    this.options = options
    this.wire = { device: [], operator: [] }
    this.free = { device: now, operator: now }
    const received = { device: device.received, operator: operator.received }
    device.attach(now, plain, received.operator, () => {})
    operator.attach(now, plain, received.device, () => {})
  }

  /** The line under the connection that is up becomes another. */
  change(options: LineOptions): void {
    this.options = options
  }

  /** The device has so much to say in one message. */
  say(bytes: number, priority: Priority = Priority.COMMAND): LinkStream {
    const stream = new LinkStream({ kind: "request", ours: true, priority, window: bytes + 1024 })
    stream.push(Kind.REQUEST, { data: new Uint8Array(bytes), inflated: 0 })
    this.device.step(() => this.device.outbox.list(stream))
    return stream
  }

  /** Lets time pass, in steps of so many milliseconds; tells why a side gives the connection up, if one does. */
  pass(millis: number, step = 50): string | undefined {
    for (const end = this.now + millis; this.now < end; this.now += step) {
      for (const [from, to] of [[this.device, this.operator], [this.operator, this.device]] as const) {
        const wire = this.wire[from.side]
        while ((wire[0]?.at ?? Infinity) <= this.now) {
          const packet = wire.shift()?.packet
          if (packet !== undefined) to.step(() => to.packet(packet, this.now))
        }
      }
      this.send(this.device)
      this.send(this.operator)
      const why = this.device.giveUp(this.now) ?? this.operator.giveUp(this.now)
      if (why !== undefined) return why
    }
    return undefined
  }

  private send(from: Conversation): void {
    const { bytesPerSecond, loss = 0, roundTripMillis } = this.options
    const next = () => from.quietly(() => from.next(this.now, plain))
    for (let packet = next(); packet !== undefined; packet = next()) {
      const bytes = encodePacket(packet).length + sealed
      this.bytes += bytes
      const left = Math.max(this.now, this.free[from.side]) + bytes * 1000 / bytesPerSecond
      this.free[from.side] = left
      if (!this.chance(loss)) this.wire[from.side].push({ at: left + roundTripMillis / 2, packet })
    }
  }

  private side(side: Side): Conversation {
    const conversation = new Conversation(side, defaultTimings, defaultLimits)
    conversation.listener = {
      acknowledged: () => {},
      segment: () => undefined,
      leaving: (stream) => {
        if (stream.id === 0) stream.id = 2 * this.streams++ + 1
      },
      busy: () => true,
      ended: () => {}
    }
    return conversation
  }
}
