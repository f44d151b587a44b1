/** The sentences of docs/troubleshooting.md: what a test expects a person to see must stand there word for word. */
import { assert } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const oneLine = (text: string) => text.replaceAll(/\s+/gu, " ")

const guide = oneLine(
  readFileSync(fileURLToPath(new URL("../../../docs/troubleshooting.md", import.meta.url)), "utf8")
)

/** The sentence itself, once it is sure that the guide tells what to do about it. */
export const documented = (sentence: string): string => {
  assert.isTrue(
    guide.includes(oneLine(sentence)),
    `docs/troubleshooting.md does not tell of this sentence: ${sentence}`
  )
  return sentence
}

/** Asserts that a text which a person sees contains the sentence; kubectl wraps nothing, but indents. */
export const says = (seen: string, sentence: string): void =>
  assert.include(oneLine(seen), oneLine(documented(sentence)))
