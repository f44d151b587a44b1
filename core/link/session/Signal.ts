/** Fibers waiting until something holds; whoever may have made it true notifies. */
import { Effect } from "effect"

export class Signal {
  private waiting: Array<() => void> = []

  /** The condition is looked at again on each notification, and once before waiting. */
  until(holds: () => boolean): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (holds()) return resume(Effect.void)
      const look = () => {
        if (holds()) resume(Effect.void)
        else this.waiting.push(look)
      }
      this.waiting.push(look)
      return Effect.sync(() => {
        this.waiting = this.waiting.filter((other) => other !== look)
      })
    })
  }

  notify(): void {
    const woken = this.waiting
    if (woken.length === 0) return
    this.waiting = []
    for (const look of woken) look()
  }
}
