/** The clock of one host: off, drifting, and set by whoever may. Durations go on as they were; only a boot begins them anew. */
import type { Clock } from "effect"
import type { Skew, VirtualTime } from "./VirtualTime.ts"

export interface HostClock {
  readonly clock: Clock.Clock
  /** Steps the wall clock by so many milliseconds, back where negative; never before 1970, which no kernel takes. */
  readonly jump: (millis: number) => void
  /** A boot of a board that has no battery: it begins in 1970, until `step`. */
  readonly bootIn1970: () => void
  /** A boot of one that has: only the monotonic clock begins anew. */
  readonly boot: () => void
  /** What NTP does when it has found a server: the wall clock is right but for what its seed made it. */
  readonly step: () => void
  /** Milliseconds that this clock is ahead of the world's. */
  readonly ahead: () => number
  /** Whether it was ever set. */
  readonly wasSet: () => boolean
}

export const makeHostClock = (time: VirtualTime, skew: Skew): HostClock => {
  const own = { current: { ...skew, bootedAt: time.start } }
  const clock = time.clock(own)
  let set = false
  const jump = (millis: number) => {
    set = true
    const most = Math.max(millis, -clock.currentTimeMillisUnsafe())
    own.current = { ...own.current, offsetMillis: own.current.offsetMillis + most }
  }
  const boot = () => {
    own.current = { ...own.current, bootedAt: time.now }
  }
  return {
    clock,
    jump,
    boot,
    bootIn1970: () => {
      boot()
      jump(-clock.currentTimeMillisUnsafe())
    },
    step: () => {
      own.current = { ...own.current, offsetMillis: skew.offsetMillis }
    },
    ahead: () => clock.currentTimeMillisUnsafe() - time.now,
    wasSet: () => set
  }
}
