/** An IntOrString: so many, or a percentage of another number. */
import type { Json } from "../object/json.ts"

export const share = (value: Json, of: number, round: (n: number) => number): number =>
  typeof value === "number" ? value : round((Number.parseFloat(String(value)) / 100) * of)
