/** Whether two values of JSON's kinds say the same; absent and undefined are one. Stops at the first difference, and keeps nothing. */
export const sameJson = (left: unknown, right: unknown): boolean => {
  if (left === right) return true
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return false
  if (Array.isArray(left)) {
    if (!Array.isArray(right) || left.length !== right.length) return false
    for (let i = 0; i < left.length; i++) if (!sameJson(left[i], right[i])) return false
    return true
  }
  if (Array.isArray(right)) return false
  const mine = left as Readonly<Record<string, unknown>>
  const theirs = right as Readonly<Record<string, unknown>>
  for (const key in mine) if (!sameJson(mine[key], theirs[key])) return false
  for (const key in theirs) if (theirs[key] !== undefined && mine[key] === undefined) return false
  return true
}
