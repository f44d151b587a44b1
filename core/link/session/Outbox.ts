/**
 * Decides what leaves next: ends and credits first, then the classes of priority strictly in order, the streams of one class
 * in turn, a chunk at a time.
 */
import { Priority, type Segment } from "../../gen/aranya/link/v1/link_pb.ts"
import { packetOverhead, segmentOverhead } from "../frames.ts"
import { headroomBytes } from "../LinkUsage.ts"
import type { LinkStream } from "./LinkStream.ts"

/** A chunk smaller than this is worth making only where it ends its message. */
const leastChunk = 512

export interface Room {
  /** Plain bytes of a packet. */
  readonly packet: number
  /** Bytes of data in one chunk below the class of commands. */
  readonly chunk: number
  /** Bytes that may still go under way: of commands, and of everything else. */
  readonly commands: number
  readonly others: number
}

export interface Leaving {
  readonly segment: Segment
  readonly priority: Priority
  /** About what it takes of a packet. */
  readonly bytes: number
  /** Whether it left by `urgent`, before everything else. */
  readonly control?: true
}

const headroom = (priority: Priority): number =>
  priority === Priority.ASSIGNMENT
    ? headroomBytes.assignment
    : priority === Priority.INTERACTIVE
    ? headroomBytes.interactive
    : 0

export class Outbox {
  private readonly control: Array<Segment> = []
  private readonly classes: ReadonlyArray<Array<LinkStream>> = [[], [], [], [], []]

  /** To be sent before everything else; needs no credit. */
  urgent(segment: Segment): void {
    this.control.push(segment)
  }

  /** How many of these wait. */
  get waiting(): number {
    return this.control.length
  }

  list(stream: LinkStream): void {
    if (stream.listed || !stream.ready) return
    stream.listed = true
    this.classes[stream.priority]?.push(stream)
  }

  unlist(stream: LinkStream): void {
    if (!stream.listed) return
    stream.listed = false
    const list = this.classes[stream.priority]
    const index = list?.indexOf(stream) ?? -1
    if (index >= 0) list?.splice(index, 1)
  }

  /** Whether there is something that does not wait for company, or not any more. */
  pressing(now: number): boolean {
    if (this.control.length > 0) return true
    for (const list of this.classes) {
      for (const stream of list) {
        if (stream.patience === 0) return true
        stream.patientUntil ??= now + stream.patience
        if (now >= stream.patientUntil) return true
      }
    }
    return false
  }

  /**
   * When that becomes so although nothing happens. What has waited long enough by `now` and is still here waits for the peer: what
   * comes from there makes it be looked at, and no time does.
   */
  patientUntil(now: number): number {
    let soonest = Infinity
    for (const list of this.classes) {
      for (const { patientUntil = now } of list) if (patientUntil > now) soonest = Math.min(soonest, patientUntil)
    }
    return soonest
  }

  /** The segments of the next packet; `leaving` is told of each stream before its first segment is made. */
  fill(room: Room, leaving: (stream: LinkStream) => void, sent: (stream: LinkStream) => void): ReadonlyArray<Leaving> {
    const filled: Array<Leaving> = []
    let left = room.packet - packetOverhead
    while (left > segmentOverhead && this.control.length > 0) {
      const segment = this.control[0]
      const size = segmentOverhead + 3 * (segment?.detail.length ?? 0)
      if (segment === undefined || (size > left && filled.length > 0)) return filled
      this.control.shift()
      filled.push({ segment, priority: Priority.COMMAND, bytes: size, control: true })
      left -= size
    }
    let commands = room.commands
    let others = room.others
    for (let priority = Priority.COMMAND; priority <= Priority.BULK; priority++) {
      const list = this.classes[priority]
      if (list === undefined) continue
      for (let stream = list[0]; stream !== undefined; stream = list[0]) {
        const allowed = priority === Priority.COMMAND ? commands : others + headroom(priority)
        const space = left - segmentOverhead
        if (allowed <= 0 || space <= 0) break
        const chunk = Math.min(space, priority === Priority.COMMAND ? space : room.chunk)
        const next = stream.queue[0]
        // An end cannot be cut, however much it says.
        const least = next === undefined
          ? 3 * (stream.tail[0]?.detail.length ?? 0)
          : Math.min(leastChunk, next.data.length - next.sent)
        if (filled.length > 0 && chunk < least) return filled
        leaving(stream)
        const segment = stream.take(chunk)
        list.shift()
        stream.listed = false
        // What was begun goes on.
        stream.patience = 0
        stream.patientUntil = undefined
        if (segment !== undefined) {
          const size = segment.data.length + segmentOverhead + 3 * segment.detail.length
          filled.push({ segment, priority, bytes: size })
          left -= size
          if (priority === Priority.COMMAND) commands -= size
          else others -= size
        }
        this.list(stream)
        if (stream.spent) stream.whenSent?.()
        sent(stream)
        // A chunk of the lower classes travels alone: whatever comes meanwhile goes before the next one.
        if (priority > Priority.COMMAND && room.packet - left > room.chunk) return filled
      }
    }
    return filled
  }
}
