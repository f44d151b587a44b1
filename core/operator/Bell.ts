/** What wakes the keeper of one pod: rung while it is at work it is heard afterwards, and a change may be listened for meanwhile. */
import { type Effect, Queue } from "effect"
import { Signal } from "../link/session/Signal.ts"

export class Bell {
  private readonly rings: Queue.Queue<void>
  private readonly rung = new Signal()
  /** Until it rings, or because it did so since. */
  readonly heard: Effect.Effect<void>

  constructor(rings: Queue.Queue<void>) {
    this.rings = rings
    this.heard = Queue.take(rings)
  }

  ring(): void {
    Queue.offerUnsafe(this.rings, undefined)
    this.rung.notify()
  }

  /** Until that is so, as it may be from a ring on. Takes no ring from `heard`. */
  until(holds: () => boolean): Effect.Effect<void> {
    return this.rung.until(holds)
  }
}
