/** What becomes of valid bytes on their way to a reader that must bear anything. */
import type { Dice } from "./Dice.ts"

/** Edges of lengths, signs and counts. */
const edges = [0, 1, 0x7f, 0x80, 0xfe, 0xff]
const wide = [0, 1, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x00ffffff, 0x80030001]

const change = (dice: Dice, bytes: Buffer, others: () => Buffer): Buffer => {
  const at = dice.below(bytes.length + 1)
  const until = Math.min(bytes.length, at + 1 + dice.below(16))
  const copy = Buffer.from(bytes)
  switch (dice.below(10)) {
    case 0:
      if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ (1 << dice.below(8))
      return copy
    case 1:
      if (at < copy.length) copy[at] = dice.oneOf(edges)
      return copy
    case 2:
      if (at + 4 <= copy.length) copy.writeUInt32BE(dice.oneOf(wide), at)
      return copy
    case 3:
      if (at + 2 <= copy.length) copy.writeUInt16BE(dice.oneOf(wide) & 0xffff, at)
      return copy
    case 4:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(until)])
    case 5:
      return Buffer.concat([bytes.subarray(0, until), bytes.subarray(at, until), bytes.subarray(until)])
    case 6:
      return Buffer.concat([bytes.subarray(0, at), dice.bytes(1 + dice.below(24)), bytes.subarray(at)])
    case 7:
      return bytes.subarray(0, at)
    case 8: {
      const other = others()
      return Buffer.concat([bytes.subarray(0, at), other.subarray(dice.below(other.length + 1))])
    }
    default: {
      const piece = bytes.subarray(at, until)
      return Buffer.concat([
        bytes.subarray(0, at),
        ...Array.from({ length: 2 + dice.below(60) }, () => piece),
        bytes.subarray(until)
      ])
    }
  }
}

/** None to four changes: what is left as it was reaches deep. `others` are spliced in. */
export const mutate = (dice: Dice, bytes: Buffer, others: () => Buffer): Buffer => {
  let changed = bytes
  for (let times = dice.oneOf([0, 1, 1, 1, 2, 2, 3, 4]); times > 0; times--) changed = change(dice, changed, others)
  return changed
}

/** Frames left out, said twice, exchanged. */
export const shuffle = <A>(dice: Dice, frames: ReadonlyArray<A>): ReadonlyArray<A> => {
  const changed = [...frames]
  for (let times = dice.oneOf([0, 0, 0, 1, 2]); times > 0 && changed.length > 0; times--) {
    const at = dice.below(changed.length)
    const other = dice.below(changed.length)
    const [one, two] = [changed[at], changed[other]]
    if (one === undefined || two === undefined) break
    switch (dice.below(3)) {
      case 0:
        changed.splice(at, 1)
        break
      case 1:
        changed.splice(at, 0, ...Array.from({ length: 1 + dice.below(24) }, () => two))
        break
      default:
        changed[at] = two
        changed[other] = one
    }
  }
  return changed
}

/** One to five pieces. */
export const cut = (dice: Dice, bytes: Buffer): ReadonlyArray<Buffer> => {
  const ends = Array.from({ length: dice.below(5) }, () => dice.below(bytes.length + 1)).sort((a, b) => a - b)
  return [...ends, bytes.length].map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end))
}
