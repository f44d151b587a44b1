/** Kubernetes resource quantities, in the smallest unit arithmetic needs: thousandths. */
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
