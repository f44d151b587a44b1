/** Changes of a session's state, each made as one: fibers that a change wakes run on its stack, so they are woken when it is complete. */
import { Signal } from "./Signal.ts"

export class Steps {
  /** Notified when there may be something to send, or the connection shall go. */
  readonly stirred = new Signal()
  /** Set by every step; the writer takes it back before it looks for something to send. */
  stirring = false
  private depth = 0
  private readonly later: Array<() => void> = []

  /** Runs one step; one within another is part of it. */
  step<A>(change: () => A): A {
    this.stirring = true
    return this.quietly(change)
  }

  /** A step that gives the writer nothing new to say: its own. */
  quietly<A>(change: () => A): A {
    this.depth += 1
    try {
      return change()
    } finally {
      this.depth -= 1
      if (this.depth === 0) {
        if (this.stirring) this.later.push(() => this.stirred.notify())
        for (let wake = this.later.shift(); wake !== undefined; wake = this.later.shift()) wake()
      }
    }
  }

  wake(signal: Signal): void {
    this.later.push(() => signal.notify())
  }

  afterwards(action: () => void): void {
    this.later.push(action)
  }
}
