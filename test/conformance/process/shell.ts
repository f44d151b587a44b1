/** The little of a shell that scenarios write: words, quotes, `$NAME`, `>`, `>>`, `;` and `&&`. */

export interface Step {
  readonly words: ReadonlyArray<string>
  readonly into: { readonly path: string; readonly how: "replace" | "append" } | undefined
  /** Run only where the step before succeeded. */
  readonly onSuccess: boolean
}

type Token = { readonly word: string } | { readonly sign: ";" | "&&" | ">" | ">>" }

const tokens = (script: string, lookup: (name: string) => string): ReadonlyArray<Token> => {
  const found: Array<Token> = []
  let word: string | undefined
  let quote = ""
  const end = () => {
    if (word !== undefined) found.push({ word })
    word = undefined
  }
  for (let at = 0; at < script.length; at++) {
    const char = script[at] ?? ""
    const sign = quote === "" ? /^(?:;|&&|>>|>)/.exec(script.slice(at))?.[0] : undefined
    const name = quote === "'" ? undefined : /^\$(?:(\w+)|\{(\w+)\})/.exec(script.slice(at))
    if (sign === ";" || sign === "&&" || sign === ">" || sign === ">>") {
      end()
      found.push({ sign })
      at += sign.length - 1
    } else if (name !== undefined && name !== null) {
      word = (word ?? "") + lookup(name[1] ?? name[2] ?? "")
      at += name[0].length - 1
    } else if (quote === "" && (char === "'" || char === "\"")) {
      quote = char
      word ??= ""
    } else if (char === quote) quote = ""
    else if (quote === "" && /\s/.test(char)) end()
    else word = (word ?? "") + char
  }
  end()
  return found
}

export const parseScript = (script: string, lookup: (name: string) => string): ReadonlyArray<Step> => {
  const steps: Array<Step> = []
  let words: Array<string> = []
  let into: Step["into"]
  let redirect: "replace" | "append" | undefined
  let onSuccess = false
  const end = () => {
    if (words.length > 0) steps.push({ words, into, onSuccess })
    words = []
    into = undefined
  }
  for (const token of tokens(script, lookup)) {
    if ("word" in token) {
      if (redirect === undefined) words.push(token.word)
      else into = { path: token.word, how: redirect }
      redirect = undefined
    } else if (token.sign === ">" || token.sign === ">>") redirect = token.sign === ">" ? "replace" : "append"
    else {
      end()
      onSuccess = token.sign === "&&"
    }
  }
  end()
  return steps
}
