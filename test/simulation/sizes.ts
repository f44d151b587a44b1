/**
 * How large a storm's world is, and how long it rages. Most seeds draw a small one: what goes wrong usually needs one device and a few
 * faults, and ten small worlds meet more of them than one large one. What only several devices can do to each other is left to the rest.
 */
import { uniform } from "./uniform.ts"

export interface Size {
  readonly devices: number
  /** Pods of each device: how many there are when the storm begins, and how many may live at once on average. */
  readonly pods: readonly [first: number, most: number]
  /** Milliseconds a storm lasts, at least and less than. */
  readonly storm: readonly [least: number, most: number]
  /** Milliseconds between two of its deeds. */
  readonly pause: readonly [least: number, most: number]
}

const seconds = 1000
const minutes = 60 * seconds

export const sizes = {
  small: { devices: 1, pods: [1, 2], storm: [40 * seconds, 150 * seconds], pause: [500, 15 * seconds] },
  middle: { devices: 2, pods: [1, 2], storm: [1 * minutes, 5 * minutes], pause: [500, 20 * seconds] },
  large: { devices: 3, pods: [2, 3], storm: [4 * minutes, 12 * minutes], pause: [500, 30 * seconds] }
} as const satisfies Readonly<Record<string, Size>>

export type SizeName = keyof typeof sizes

export const isSize = (name: string): name is SizeName => Object.hasOwn(sizes, name)

/** Drawn apart from everything else, so that a seed's large world is the same one whether it was drawn or asked for. */
export const sizeOf = (seed: number): SizeName => {
  const draw = uniform(seed ^ 0x517e)()
  return draw < 0.8 ? "small" : draw < 0.95 ? "middle" : "large"
}

/** One world of eight seals with the real primitives; they take longer than all that is sealed. */
export const ciphersOf = (seed: number): "real" | "quick" => uniform(seed ^ 0xc1f3)() < 0.125 ? "real" : "quick"
