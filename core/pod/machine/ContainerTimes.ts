/**
 * How long a container runs, and how long it has rested since: by the monotonic clock from this process's first look on. Only what was
 * before that look is taken from the wall clock, once: it may be set at any time, and a board without a battery boots in 1970.
 */

/** One moment by both clocks, in milliseconds. */
export interface Look {
  readonly wall: number
  readonly monotonic: number
}

interface Since {
  readonly attempt: number
  /** Monotonic milliseconds; an estimate where it was before the first look. */
  readonly at: number
}

export class ContainerTimes {
  readonly #began = new Map<string, Since>()
  readonly #ended = new Map<string, Since>()

  /** It is seen to run. */
  runs(name: string, attempt: number, startedAt: number, look: Look): void {
    if (this.#began.get(name)?.attempt !== attempt) this.#began.set(name, { attempt, at: before(look, startedAt) })
  }

  /** Milliseconds that an attempt ran which is now seen to have ended. */
  ran(
    name: string,
    attempt: number,
    { finishedAt, startedAt }: { readonly startedAt: number; readonly finishedAt: number },
    { monotonic }: Look
  ): number {
    const began = this.#began.get(name)
    return began?.attempt === attempt ? monotonic - began.at : Math.max(0, finishedAt - startedAt)
  }

  /** Milliseconds since an attempt ended; never less than at the look before. */
  rested(name: string, attempt: number, finishedAt: number, look: Look): number {
    const known = this.#ended.get(name)
    if (known?.attempt === attempt) return look.monotonic - known.at
    const at = before(look, finishedAt)
    this.#ended.set(name, { attempt, at })
    return look.monotonic - at
  }
}

/** When, by the monotonic clock, it was this time by the wall clock; now where that is yet to come. */
const before = ({ monotonic, wall }: Look, moment: number): number => monotonic - Math.max(0, wall - moment)
