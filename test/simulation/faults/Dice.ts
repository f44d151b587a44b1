/** Chances of a deed, all from one source. */
import type { Random } from "effect"

export interface Dice {
  /** In [0, 1). */
  readonly chance: () => number
  /** A whole number in [least, most). */
  readonly between: (least: number, most: number) => number
  readonly pick: <A>(from: ReadonlyArray<A>) => A
}

export const diceOf = (random: typeof Random.Random["Service"]): Dice => diceFrom(() => random.nextDoubleUnsafe())

export const diceFrom = (chance: () => number): Dice => {
  const between = (least: number, most: number) => Math.floor(least + chance() * (most - least))
  return { chance, between, pick: (from) => from[between(0, from.length)]! }
}
