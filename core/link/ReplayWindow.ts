/** Remembers which of the last 1024 counters were seen, so that a frame repeated by transport or attacker counts once. */
const size = 1024

export class ReplayWindow {
  private readonly seen = new Uint32Array(size / 32)
  private next = 0

  /** Whether the counter is new and recent enough. */
  fresh(counter: number): boolean {
    if (counter >= this.next) return true
    if (counter < this.next - size) return false
    return ((this.seen[(counter % size) >>> 5] ?? 0) & (1 << (counter % 32))) === 0
  }

  /** Call only for an authentic frame. */
  mark(counter: number): void {
    if (counter >= this.next) {
      if (counter - this.next >= size) this.seen.fill(0)
      else for (let skipped = this.next; skipped < counter; skipped++) this.clear(skipped)
      this.next = counter + 1
    }
    const word = (counter % size) >>> 5
    this.seen[word] = (this.seen[word] ?? 0) | (1 << (counter % 32))
  }

  private clear(counter: number): void {
    const word = (counter % size) >>> 5
    this.seen[word] = (this.seen[word] ?? 0) & ~(1 << (counter % 32))
  }
}
