/** One figure of the table: what it should be, what others reach, and what was measured here. */
import type { Effect, Scope } from "effect"

export interface Figure {
  /** In kebab case; `--only` and the JSON name it so. */
  readonly name: string
  readonly meaning: string
  readonly unit: string
  /** `<= 12`, `>= 100`, or `none` where the figure is watched and nothing is promised. */
  readonly budget: string
  readonly best: string
  /** Which scene measures it, or why none does yet. */
  readonly measuredBy: { readonly scene: SceneName } | { readonly reason: string }
}

export type SceneName = "docker" | "footprint" | "link" | "fleet" | "streams" | "wire"

export interface Measured {
  readonly name: string
  readonly value: number
  /** How it came about, and what stands beside it. */
  readonly note: string
}

export interface NotMeasured {
  readonly name: string
  readonly reason: string
}

export interface SceneOptions {
  readonly quick: boolean
  readonly devices: number
  readonly wanted: (name: string) => boolean
}

/** Measures what belongs together on one system; what it starts ends with the scope. */
export type Scene = (
  options: SceneOptions
) => Effect.Effect<ReadonlyArray<Measured | NotMeasured>, { readonly message: string }, Scope.Scope>

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Whether a value keeps its budget, `<= 12` or `>= 100`. */
export const keeps = (value: number, budget: string): boolean => {
  const [sign, limit] = budget.split(" ")
  return sign === "<=" ? value <= Number(limit) : value >= Number(limit)
}
