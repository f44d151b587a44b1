/** Chances of one input, which its number and the seed decide alone: any of them can be made again by itself. */

export interface Dice {
  /** A whole number from 0 to below `limit`. */
  readonly below: (limit: number) => number
  readonly chance: (share: number) => boolean
  readonly oneOf: <A>(all: ReadonlyArray<A>) => A
  readonly bytes: (count: number) => Buffer
}

/** SplitMix32 (Steele, Lea, Flood 2014), begun at a place that mixes both numbers. */
export const makeDice = (seed: number, index: number): Dice => {
  let state = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(index + 1, 0xc2b2ae35)) >>> 0
  const next = () => {
    state = (state + 0x9e3779b9) >>> 0
    let mixed = state ^ (state >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return (mixed ^ (mixed >>> 15)) >>> 0
  }
  const below = (limit: number) => next() % limit
  return {
    below,
    chance: (share) => next() < share * 0x1_0000_0000,
    oneOf: (all) => {
      const found = all[below(all.length)]
      if (found === undefined) throw new Error("nothing to choose from")
      return found
    },
    bytes: (count) => {
      const bytes = Buffer.alloc(count)
      for (let at = 0; at < count; at++) bytes[at] = below(256)
      return bytes
    }
  }
}
