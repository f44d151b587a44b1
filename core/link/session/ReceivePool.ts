/** The memory one link may fill with received data; what it does not grant, a peer cannot send. */
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

  /** Messages and larger windows leave a quarter for streams to come. */
  get spare(): number {
    return this.free - this.capacity / 4
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
