/**
 * How large a storm's world is, how long it rages, and how long the world lives. What goes wrong usually needs few faults, so most
 * storms are short; a fleet stays the same size in all of them.
 */
import { uniform } from "./uniform.ts"
import type { Skew } from "./VirtualTime.ts"

export interface Size {
  readonly devices: number
  /** Pods of each device: how many there are when the storm begins, and how many may live at once on average. */
  readonly pods: readonly [first: number, most: number]
  /** Milliseconds a storm lasts, at least and less than. */
  readonly storm: readonly [least: number, most: number]
  /** Milliseconds between two of its deeds. */
  readonly pause: readonly [least: number, most: number]
  /** Milliseconds that the world lives at least: what is left of them when all is well passes in quiet, in which nothing may change. */
  readonly life: number
}

const seconds = 1000
const minutes = 60 * seconds

export const sizes = {
  /** Never drawn: for telling a story again with as few actors as it takes. */
  small: { devices: 1, pods: [1, 2], storm: [40 * seconds, 150 * seconds], pause: [500, 15 * seconds], life: 0 },
  /** Never drawn: a fleet without its quiet hours, which cost as much as all the rest, for a search through many storms. */
  brief: { devices: 3, pods: [5, 6], storm: [20 * seconds, 90 * seconds], pause: [300, 6 * seconds], life: 0 },
  fleet: {
    devices: 3,
    pods: [5, 6],
    storm: [20 * seconds, 90 * seconds],
    pause: [300, 6 * seconds],
    life: 41 * minutes
  },
  large: {
    devices: 3,
    pods: [5, 6],
    storm: [4 * minutes, 12 * minutes],
    pause: [500, 20 * seconds],
    life: 41 * minutes
  }
} as const satisfies Readonly<Record<string, Size>>

export type SizeName = keyof typeof sizes

export const isSize = (name: string): name is SizeName => Object.hasOwn(sizes, name)

/** Drawn apart from everything else, so that a seed's large world is the same one whether it was drawn or asked for. */
export const sizeOf = (seed: number): SizeName => uniform(seed ^ 0x517e)() < 0.97 ? "fleet" : "large"

/** One world of eight seals with the real primitives; they take longer than all that is sealed. */
export const ciphersOf = (seed: number): "real" | "quick" => uniform(seed ^ 0xc1f3)() < 0.125 ? "real" : "quick"

/** Half of the worlds have two operators, each believing that it serves every device. */
export const operatorsOf = (seed: number): 1 | 2 => uniform(seed ^ 0x20b5)() < 0.5 ? 1 : 2

/** Devices come after the operators' hosts. */
export const hostOfDevice = (number: number): number => 16 + number

/** A host's clock is right, or off by minutes to years in either direction; it gains or loses up to 300 parts in a million. */
export const skewOf = (seed: number, host: number): Skew => {
  const chance = uniform(seed ^ 0xc10c ^ (host << 16))
  const most = [0, 5 * minutes, 24 * 60 * minutes, 3 * 365 * 24 * 60 * minutes][Math.floor(chance() * 4)] ?? 0
  return { offsetMillis: Math.round((chance() * 2 - 1) * most), rate: 1 + (chance() * 2 - 1) * 3e-4 }
}
