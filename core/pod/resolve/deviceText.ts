/** Texts that may hold what only the device knows, and the `$(NAME)` references that Kubernetes expands in them. */
import type { DeviceField, DeviceText } from "../PodAssignment.ts"

export const literal = (text: string): DeviceText => (text === "" ? [] : [text])

export const fieldText = (field: DeviceField): DeviceText => [{ field }]

/** One text after the other, neighbouring literals made one. */
export const joinTexts = (texts: Iterable<DeviceText>): DeviceText => {
  const pieces: Array<DeviceText[number]> = []
  for (const text of texts) {
    for (const piece of text) {
      const last = pieces.at(-1)
      if (piece === "") continue
      if (typeof piece === "string" && typeof last === "string") pieces[pieces.length - 1] = last + piece
      else pieces.push(piece)
    }
  }
  return pieces
}

/** The text where it is known here, undefined where it waits for the device. */
export const knownText = (text: DeviceText): string | undefined =>
  text.every((piece) => typeof piece === "string") ? text.join("") : undefined

/** Linux takes no longer argument or variable. */
export const longestExpansion = 128 * 1024

/** Characters that it has at least: what the device fills in may be empty. */
export const lengthOf = (text: DeviceText): number =>
  text.reduce((sum, piece) => sum + (typeof piece === "string" ? piece.length : 1), 0)

/**
 * `$(NAME)` becomes the value `lookup` knows, or stays as it is; `$$` is a dollar sign that begins no reference. What is put
 * in is not expanded again. Undefined where that becomes longer than `longestExpansion`: variables that name one another twice
 * double with each.
 */
export const expandReferences = (
  text: string,
  lookup: (name: string) => DeviceText | undefined
): DeviceText | undefined => {
  const texts: Array<DeviceText> = []
  let expanded = 0
  // No reference begins behind it: its end would be looked for in all the rest, anew at each beginning.
  const last = text.lastIndexOf(")")
  let plain = ""
  let at = 0
  while (at < text.length) {
    const next = text[at + 1]
    const close = text[at] === "$" && next === "(" && at < last ? text.indexOf(")", at + 2) : -1
    if (text[at] === "$" && next === "$") {
      plain += "$"
      at += 2
    } else if (close >= 0) {
      const value = lookup(text.slice(at + 2, close))
      if (value === undefined) plain += text.slice(at, close + 1)
      else {
        expanded += lengthOf(value)
        if (expanded > longestExpansion) return undefined
        texts.push([plain], value)
        plain = ""
      }
      at = close + 1
    } else {
      plain += text[at]
      at += 1
    }
  }
  texts.push([plain])
  return joinTexts(texts)
}
