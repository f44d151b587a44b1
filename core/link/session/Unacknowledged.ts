/** Segments that were sent and not yet acknowledged, in order of sequence, and which of them must go out again. */
import type { Segment } from "../../gen/aranya/link/v1/link_pb.ts"
import type { Departure } from "./AckRate.ts"

export interface Sent {
  readonly sequence: number
  readonly segment: Segment
  readonly bytes: number
  /** Counted against the limit of commands, or of everything else. */
  readonly command: boolean
  /** Limited by nothing but the peer's good will to acknowledge. */
  readonly control: boolean
  /** Of the last time it was sent on the connection that is up; undefined when it must be sent (again). */
  departure: Departure | undefined
  /** When it left first on the connection that is up. */
  firstLeft: number | undefined
  times: number
}

export class Unacknowledged {
  private entries: Array<Sent> = []
  private start = 0
  /** Everything below this position was sent on this connection: where looking for what to send begins. */
  private cursor = 0

  get oldest(): Sent | undefined {
    return this.entries[this.start]
  }

  get newest(): Sent | undefined {
    return this.entries.at(-1)
  }

  /** Bytes of the largest. */
  get largest(): number {
    let most = 0
    for (let index = this.start; index < this.entries.length; index++) {
      most = Math.max(most, this.entries[index]?.bytes ?? 0)
    }
    return most
  }

  add(sent: Sent): void {
    this.entries.push(sent)
  }

  /** Takes out what is covered by a cumulative acknowledgement. */
  acknowledge(upTo: number): ReadonlyArray<Sent> {
    const from = this.start
    while ((this.entries[this.start]?.sequence ?? Infinity) <= upTo) this.start += 1
    const taken = this.entries.slice(from, this.start)
    if (this.start > 64 && this.start * 2 > this.entries.length) {
      this.entries = this.entries.slice(this.start)
      this.cursor = Math.max(0, this.cursor - this.start)
      this.start = 0
    }
    return taken
  }

  /** Marks for sending again. */
  again(sent: Sent): void {
    sent.departure = undefined
    this.cursor = Math.min(this.cursor, this.start)
  }

  /** A new connection: nothing was sent on it yet. */
  allAgain(): void {
    for (let index = this.start; index < this.entries.length; index++) {
      const sent = this.entries[index]
      if (sent === undefined) continue
      sent.departure = undefined
      sent.firstLeft = undefined
    }
    this.cursor = this.start
  }

  /** What lies in a gap the peer reported, without what left so recently that it may still arrive. */
  leftBefore(after: number, before: number, time: number): ReadonlyArray<Sent> {
    const found: Array<Sent> = []
    for (let index = this.start; index < this.entries.length; index++) {
      const sent = this.entries[index]
      if (sent === undefined || sent.sequence >= before) break
      if (sent.sequence > after && sent.departure !== undefined && sent.departure.at < time) found.push(sent)
    }
    return found
  }

  /** The next segment to send again, if any. */
  due(): Sent | undefined {
    this.cursor = Math.max(this.cursor, this.start)
    for (; this.cursor < this.entries.length; this.cursor++) {
      const sent = this.entries[this.cursor]
      if (sent !== undefined && sent.departure === undefined) return sent
    }
    return undefined
  }
}
