/** The table and the JSON of a run. */
import { type Figure, keeps, type Measured, type NotMeasured } from "./Figure.ts"

export type Outcome = Measured | NotMeasured

const shown = (value: number) => value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)

const columns = (rows: ReadonlyArray<ReadonlyArray<string>>) => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()).join("\n")
}

/** One line for each figure, then how each value came about. */
export const table = (figures: ReadonlyArray<Figure>, outcomes: ReadonlyMap<string, Outcome>): string => {
  const rows = figures.map((figure) => {
    const outcome = outcomes.get(figure.name)
    const measured = outcome !== undefined && "value" in outcome ? outcome : undefined
    return [
      figure.name,
      measured === undefined ? "-" : shown(measured.value),
      figure.unit,
      figure.budget,
      measured === undefined || figure.budget === "none"
        ? ""
        : keeps(measured.value, figure.budget)
        ? "kept"
        : "MISSED",
      figure.best
    ]
  })
  const notes = figures.map((figure) => {
    const outcome = outcomes.get(figure.name)
    return `${figure.name}: ${figure.meaning}\n    ${
      outcome === undefined ? "" : "value" in outcome ? outcome.note : `not measured: ${outcome.reason}`
    }`
  })
  return `${columns([["figure", "value", "unit", "budget", "", "best known"], ...rows])}\n\n${notes.join("\n")}`
}

export const json = (figures: ReadonlyArray<Figure>, outcomes: ReadonlyMap<string, Outcome>): string =>
  JSON.stringify(Object.fromEntries(figures.map(({ best, budget, name, unit }) => {
    const outcome = outcomes.get(name)
    return [
      name,
      outcome !== undefined && "value" in outcome
        ? { value: Number(outcome.value.toPrecision(4)), unit, budget, best, note: outcome.note }
        : { value: null, unit, budget, best, reason: outcome?.reason ?? "not asked for" }
    ]
  })))
