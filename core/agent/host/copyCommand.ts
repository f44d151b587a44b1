/**
 * The command lines by which `kubectl cp` reads and writes files, in the spellings of all its versions. Whatever else is asked
 * for is none of them, however much it looks like one. Pure.
 */

export type CopyCommand =
  /** Whether there is a directory: the exit code tells. */
  | { readonly _tag: "IsDirectory"; readonly path: string }
  /** An archive of what is at a path; `skip` bytes of it the client has already. */
  | { readonly _tag: "Create"; readonly path: string; readonly skip: number }
  /** Unpacks what comes in below a directory. */
  | { readonly _tag: "Extract"; readonly directory: string; readonly preserve: boolean }

const longestPath = 4096

const isPath = (text: string | undefined): text is string =>
  text !== undefined && text !== "" && text.length <= longestPath && !text.includes("\0")

const creating = new Set(["cf", "-cf"])
const extracting = new Set(["xf", "-xf", "xmf", "-xmf"])

/** With `--retries` it goes on where it broke off, by way of a shell; paths that a shell would read otherwise are not meant. */
const resumed = /^tar cf - ([A-Za-z0-9_./@%+,:=-]+) \| tail -c\+(\d{1,15})$/

const extraction = (words: ReadonlyArray<string>, preserve: boolean): CopyCommand | undefined => {
  const [options = "", input, ...rest] = words
  if (!extracting.has(options) || input !== "-") return undefined
  if (rest.length === 0) return { _tag: "Extract", directory: ".", preserve }
  const [change, directory, ...more] = rest
  return change === "-C" && isPath(directory) && more.length === 0
    ? { _tag: "Extract", directory, preserve }
    : undefined
}

const creation = (words: ReadonlyArray<string>): CopyCommand | undefined => {
  const [options = "", output, path, ...more] = words
  // A path that begins with a dash is an option to every tar.
  return creating.has(options) && output === "-" && isPath(path) && !path.startsWith("-") && more.length === 0
    ? { _tag: "Create", path, skip: 0 }
    : undefined
}

export const copyCommand = (command: ReadonlyArray<string>): CopyCommand | undefined => {
  const [program, ...words] = command
  switch (program) {
    case "test":
      return words[0] === "-d" && isPath(words[1]) && words.length === 2
        ? { _tag: "IsDirectory", path: words[1] }
        : undefined
    case "tar":
      return words[0] === "--no-same-permissions" && words[1] === "--no-same-owner"
        ? extraction(words.slice(2), false)
        : creation(words) ?? extraction(words, true)
    case "sh": {
      const [, path, from = ""] = words[0] === "-c" && words.length === 2 ? resumed.exec(words[1] ?? "") ?? [] : []
      if (!isPath(path) || path.startsWith("-")) return undefined
      // The first byte is number one; zero is taken for it.
      return { _tag: "Create", path, skip: Math.max(0, Number(from) - 1) }
    }
    default:
      return undefined
  }
}
