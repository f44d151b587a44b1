/** Kubernetes quantities (`100m`, `1.5Gi`, `2e3`), held exactly as a number of billionths. */

/** Longer ones are nobody's and would only cost time. */
const longest = 64
const pattern =
  /^([+-]?)(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))(?:[eE]([+-]?[0-9]{1,3})|(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E))?$/u

const binary: Readonly<Record<string, bigint>> = {
  Ki: 1n << 10n,
  Mi: 1n << 20n,
  Gi: 1n << 30n,
  Ti: 1n << 40n,
  Pi: 1n << 50n,
  Ei: 1n << 60n
}
const decimal: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 }

export const nanosPerUnit = 1_000_000_000n
const nanosPerMilli = 1_000_000n

/** Division of integers that rounds away from zero, as Kubernetes does with what it cannot hold. */
export const divideUp = (value: bigint, by: bigint): bigint => {
  const quotient = value / by
  if (value % by === 0n) return quotient
  return (value < 0n) === (by < 0n) ? quotient + 1n : quotient - 1n
}

/** Billionths of the unit; undefined where the text is no quantity. What is finer than a billionth is rounded up. */
export const parseQuantity = (quantity: string | number): bigint | undefined => {
  const text = String(quantity)
  const match = text.length <= longest ? pattern.exec(text) : null
  if (match === null) return undefined
  const [, sign, integer = "", fraction = "", bare = "", exponent, suffix = ""] = match
  const digits = BigInt(`${integer}${fraction}${bare}`)
  const places = fraction.length + bare.length
  const factor = binary[suffix] ?? 1n
  const power = 9 - places + (decimal[suffix] ?? 0) + Number(exponent ?? 0)
  const scaled = power >= 0 ? digits * factor * 10n ** BigInt(power) : divideUp(digits * factor, 10n ** BigInt(-power))
  return sign === "-" ? -scaled : scaled
}

/** What is more than a number holds exactly (8 PiB) is more than any device has: the most that it holds says the same. */
const held = (amount: bigint): number => Number(amount < mostHeld ? amount : mostHeld)
const mostHeld = BigInt(Number.MAX_SAFE_INTEGER)

/** Thousandths, rounded up: how CPU is counted. */
export const toMillis = (nanos: bigint): number => held(divideUp(nanos, nanosPerMilli))

/** Whole units, rounded up: how bytes are counted. */
export const toWhole = (nanos: bigint): number => held(divideUp(nanos, nanosPerUnit))

/** `1500` thousandths of a core are `1500m`, `2000` are `2`. */
export const formatCpu = (millis: number): string => (millis % 1000 === 0 ? String(millis / 1000) : `${millis}m`)

/** In the largest of Ki, Mi, Gi… in which it is whole: what a kubelet writes. */
export const formatBytes = (bytes: number): string => {
  const largest = Object.entries(binary).findLast(([, size]) => bytes > 0 && bytes % Number(size) === 0)
  if (largest === undefined) return String(bytes)
  const [unit, size] = largest
  return `${bytes / Number(size)}${unit}`
}
