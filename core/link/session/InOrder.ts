/** Puts the peer's segments back in order and drops what came before; what lies beyond a gap is held, within limits. */
import type { Segment } from "../../gen/aranya/link/v1/link_pb.ts"
import { alone } from "./alone.ts"

/** What a segment takes beyond its bytes: one that holds nothing takes memory, too. */
export const segmentCost = 128

const costOf = ({ data, detail }: Segment): number => segmentCost + data.length + 2 * detail.length

export class InOrder {
  private readonly maxSegments: number
  private readonly maxBytes: number
  private readonly held = new Map<number, Segment>()
  /** Memory of what is held, about. */
  heldBytes = 0
  /** Every sequence up to this one was received. */
  received = 0

  constructor(maxSegments: number, maxBytes: number) {
    this.maxSegments = maxSegments
    this.maxBytes = maxBytes
  }

  get gap(): boolean {
    return this.held.size > 0
  }

  /** The lowest sequence held beyond the gap, or 0. */
  get beyond(): number {
    let lowest = 0
    for (const sequence of this.held.keys()) if (lowest === 0 || sequence < lowest) lowest = sequence
    return lowest
  }

  /** False where the segment came before, or could not be held. */
  offer(sequence: number, segment: Segment): boolean {
    if (sequence <= this.received || this.held.has(sequence)) return false
    if (sequence !== this.received + 1) {
      const bytes = this.heldBytes + costOf(segment)
      if (this.held.size >= this.maxSegments || bytes > this.maxBytes) return false
      segment.data = alone(segment.data)
      this.heldBytes = bytes
    } else {
      this.heldBytes += costOf(segment)
    }
    this.held.set(sequence, segment)
    return true
  }

  /** The next segment in order, if it is there. */
  take(): Segment | undefined {
    const segment = this.held.get(this.received + 1)
    if (segment === undefined) return undefined
    this.received += 1
    this.held.delete(this.received)
    this.heldBytes -= costOf(segment)
    return segment
  }
}
