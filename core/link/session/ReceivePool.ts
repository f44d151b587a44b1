/** The memory one link may fill with received data; what it does not grant, a peer cannot send. */

/** Part of it that messages, and larger windows, leave for streams to come; and of that what channels leave for requests. */
const forStreams = 1 / 8
const forRequests = 1 / 16
/** Part of it that channels may hold: each may stay for hours, and a fifth is what commands and reports can do with. */
const ofChannels = 4 / 5

export class ReceivePool {
  readonly capacity: number
  private reserved = 0
  private queue: Array<{ readonly bytes: number; readonly granted: () => void }> = []

  constructor(capacity: number) {
    this.capacity = capacity
  }

  get free(): number {
    return this.capacity - this.reserved
  }

  tryReserve(bytes: number): boolean {
    if (bytes > this.free) return false
    this.reserved += bytes
    return true
  }

  /** For a channel to begin with, where channels have `held` bytes of it. */
  tryOpen(bytes: number, held: number): boolean {
    const { capacity } = this
    return held + bytes <= capacity * ofChannels && bytes <= this.free - capacity * forRequests &&
      this.tryReserve(bytes)
  }

  private get spare(): number {
    return this.free - this.capacity * forStreams
  }

  /**
   * For a larger window: what its peer may send by it cannot be taken back, and one that falls silent keeps it for as long as it is open.
   * So a message of `message` bytes has to fit all the same, and those that wait come first.
   */
  tryGrow(bytes: number, message: number): boolean {
    return this.queue.length === 0 && bytes + message <= this.spare && this.tryReserve(bytes)
  }

  /** For a message: reserves now or, first come first served, as soon as enough is released. Returns how to give up waiting. */
  reserveLater(bytes: number, granted: () => void): () => void {
    if (this.queue.length === 0 && bytes <= this.spare && this.tryReserve(bytes)) {
      granted()
      return () => {}
    }
    const entry = { bytes, granted }
    this.queue.push(entry)
    return () => {
      this.queue = this.queue.filter((other) => other !== entry)
    }
  }

  release(bytes: number): void {
    this.reserved -= bytes
    for (
      let first = this.queue[0];
      first !== undefined && first.bytes <= this.spare && this.tryReserve(first.bytes);
      first = this.queue[0]
    ) {
      this.queue.shift()
      first.granted()
    }
  }
}
