/** Those who wait until something holds that others change: each looks again whenever it is told that something happened. */
import { Effect } from "effect"

export class Waiting {
  private readonly looks = new Set<() => void>()

  get size(): number {
    return this.looks.size
  }

  /** Something happened. */
  wake(): void {
    for (const look of [...this.looks]) look()
  }

  /** Resumes with what `look` first finds, at once where that is something; looks until then, or until it is interrupted. */
  when<A, E>(look: () => Effect.Effect<A, E> | undefined): Effect.Effect<A, E> {
    return Effect.callback((resume) => {
      const attempt = () => {
        const found = look()
        if (found === undefined) return
        this.looks.delete(attempt)
        resume(found)
      }
      this.looks.add(attempt)
      attempt()
      return Effect.sync(() => void this.looks.delete(attempt))
    })
  }
}
