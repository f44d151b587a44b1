/** How often something happened in storms, by name: a fault that never fired and a rule that was never put to the test prove nothing. */

import { promised, seldom } from "./profiles.ts"

/** Adds to what has this name; once unless told. */
export type Count = (what: string, times?: number) => void

export type Counts = Readonly<Record<string, number>>

export const makeCounts = (): { readonly counts: Record<string, number>; readonly count: Count } => {
  const counts: Record<string, number> = {}
  return {
    counts,
    count: (what, times = 1) => {
      counts[what] = (counts[what] ?? 0) + times
    }
  }
}

/** So many seeds of one run must have met everything that their profiles promise. */
const enough = 200

/** What a run's storms have met, by profile. */
export class Coverage {
  readonly #profiles = new Map<string, { seeds: number; readonly counts: Record<string, number> }>()
  #seeds = 0

  add({ counts, profile }: { readonly counts: Counts; readonly profile: string | null }): void {
    this.#seeds += 1
    if (profile === null) return
    const sum = this.#profiles.get(profile) ?? { seeds: 0, counts: {} }
    this.#profiles.set(profile, sum)
    sum.seeds += 1
    for (const [what, times] of Object.entries(counts)) sum.counts[what] = (sum.counts[what] ?? 0) + times
  }

  /** A line for each profile and kind of thing, and what never happened in a run that was long enough for it. */
  summary(): { readonly lines: ReadonlyArray<string>; readonly gaps: ReadonlyArray<string> } {
    const lines: Array<string> = []
    const gaps: Array<string> = []
    const met = new Map<string, number>()
    for (const [profile, { counts, seeds }] of [...this.#profiles].toSorted(([a], [b]) => a < b ? -1 : 1)) {
      const expected = promised(profile)
      const names = [...new Set([...expected, ...Object.keys(counts)])].toSorted()
      const groups = Map.groupBy(names, (name) => name.split(": ")[0] ?? "")
      for (const [group, members] of groups) {
        const words = members.map((name) => `${name.slice(group.length + 2)} ${counts[name] ?? 0}`)
        lines.push(`${profile} (${seeds} seeds), ${group}: ${words.join(", ")}`)
      }
      for (const name of expected) {
        const times = counts[name] ?? 0
        met.set(name, (met.get(name) ?? 0) + times)
        if (seeds >= enough && times === 0 && !seldom.has(name)) gaps.push(`${name} in profile ${profile}`)
      }
    }
    // What is rare in each of several profiles is not in all of them together.
    if (this.#seeds >= enough) { for (const [name, times] of met) if (times === 0) gaps.push(`${name} in any profile`) }
    return { lines, gaps }
  }
}
