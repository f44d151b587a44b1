/** Kubernetes resource quantities: their values, and the text of them that a server keeps. */
import { parseQuantity as billionthsOf } from "../../../../core/pod/resolve/quantity.ts"
import type { Json } from "./json.ts"

const binary: Record<string, number> = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60 }
const decimal: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18
}

const form = /^([+-]?(?:\d+\.?\d*|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d+)?$/

/** The value in whole units (cores, bytes, pieces), or undefined if the text is no quantity. */
export const parseQuantity = (value: unknown): number | undefined => {
  if (typeof value === "number") return value
  if (typeof value !== "string") return undefined
  const match = form.exec(value)
  if (match === null) return undefined
  const unit = match[2] ?? ""
  const scale = binary[unit] ?? decimal[unit] ?? Number(`1${unit}`)
  return Number(match[1]) * scale
}

const one = 1_000_000_000n
const binaryUnits = ["Ei", "Pi", "Ti", "Gi", "Mi", "Ki", ""]
const decimalUnits = ["E", "P", "T", "G", "M", "k", "", "m", "u", "n"]

/** In the largest unit of its kind in which it is whole; what is no quantity, or has an exponent, stays as it is. */
export const canonicalQuantity = (given: Json): Json => {
  const text = typeof given === "number" ? String(given) : given
  if (typeof text !== "string" || /[eE][+-]?\d/.test(text)) return text
  const value = billionthsOf(text)
  if (value === undefined) return text
  if (value === 0n) return "0"
  const large = value >= 1024n * one || value <= -1024n * one
  const units = text.endsWith("i") && large && value % one === 0n ? binaryUnits : decimalUnits
  const unit = units.find((each) => value % (billionthsOf(`1${each}`) ?? one) === 0n) ?? ""
  return `${value / (billionthsOf(`1${unit}`) ?? one)}${unit}`
}
