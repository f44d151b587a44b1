/** Words of a closed set against the numbers of a protobuf enum. */
import { reject } from "./message.ts"

/** A number that the set does not have came from a newer version: `Unsupported`. */
export const choice = <W extends string, C extends number>(what: string, pairs: ReadonlyArray<readonly [W, C]>) => ({
  code: (word: W): C => pairs.find(([known]) => known === word)?.[1] ?? reject("Invalid", `${what} ${word}`),
  word: (code: C): W =>
    pairs.find(([, known]) => known === code)?.[0] ?? reject("Unsupported", `${what} number ${code}`)
})
