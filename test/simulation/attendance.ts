/** When operators lived with an API server that nothing was wrong with: what they had the time to do then, they have done. */

/** A glance at it is taken at least this often, in milliseconds; what was shorter may have been missed. */
export const glance = 10_000

/** Time enough to take over from one that died, for all that an operator then does of itself, and for what glances missed, in milliseconds. */
const enough = 4 * 60_000

export const makeAttendance = () => {
  /** By operator: since when it is so, and until when it is known to be. */
  const streaks = new Map<string, Array<{ readonly since: number; until: number }>>()
  return {
    note: (operator: string, attends: boolean, now: number): void => {
      const known = streaks.get(operator) ?? []
      streaks.set(operator, known)
      const last = known.at(-1)
      if (attends && last !== undefined && now - last.until <= 2 * glance) last.until = now
      else if (attends) known.push({ since: now, until: now })
    },
    /** Whether one of them had time enough in between. */
    within: (from: number, to: number): boolean =>
      [...streaks.values()].flat().some(({ since, until }) => Math.min(to, until) - Math.max(from, since) >= enough)
  }
}
