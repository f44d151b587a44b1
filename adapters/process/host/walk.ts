/**
 * Finds places below a root as the kernel does below `/`: links count, `..` ends at the root, nothing leads out of it. Each step
 * is taken from an open directory (`/proc/self/fd`, Linux), so that whoever swaps a directory for a link meanwhile gains nothing.
 */
import { Effect, Schema } from "effect"
import * as fs from "node:fs"

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = fs.constants
/** Linux; names a place without opening what is there. Node has no constant for it. */
const O_PATH = 0o10000000

/** As many links as Linux follows in one path. */
const mostLinks = 40

/** Copying goes no further: what was asked for, or what came, leads where it must not. */
export class CopyRefused extends Schema.TaggedError<CopyRefused>()("CopyRefused", { detail: Schema.String }) {
  override get message() {
    return this.detail
  }
}

/** Something could not be copied; the rest may be. */
export class CopyFailed extends Schema.TaggedError<CopyFailed>()("CopyFailed", { detail: Schema.String }) {
  override get message() {
    return this.detail
  }
}

export type CopyProblem = CopyRefused | CopyFailed

export const codeOf = (cause: unknown): string => cause instanceof Error && "code" in cause ? String(cause.code) : ""

/** What the disk said, without the paths that only this program knows. */
export const wordsOf = (cause: unknown): string =>
  cause instanceof Error ? cause.message.replace(/, [a-z]+ '[^]*$/, "") : String(cause)

/** `about` is put before what the disk said. */
export const attempt = <A>(step: () => A, about = ""): Effect.Effect<A, CopyProblem> =>
  Effect.try({
    try: step,
    catch: (cause) => cause instanceof CopyRefused ? cause : new CopyFailed({ detail: `${about}${wordsOf(cause)}` })
  })

/** The path of a name in an open directory; the name is a single part. */
export const at = (directory: number, name: string): string => `/proc/self/fd/${directory}/${name}`

export const partsOf = (path: string): ReadonlyArray<string> =>
  path.split("/").filter((part) => part !== "" && part !== ".")

export const openRoot = (path: string): number => fs.openSync(path, O_RDONLY | O_DIRECTORY)

/** Opens what is at a name without following a link, and without opening what only looks like a file. */
const grasp = (directory: number, name: string): number => fs.openSync(at(directory, name), O_PATH | O_NOFOLLOW)

export interface Way {
  /** Open; the caller closes it. */
  readonly directory: number
  /** Of the last part that is left, `undefined` for the root. */
  readonly name: string | undefined
}

/**
 * `links`: whether links on the way are followed or refused. `missing`: what makes a directory that is not there. `last`: whether
 * the last part is left to the caller, neither opened nor followed.
 */
export const walk = (root: number, path: string, options: {
  readonly links: boolean
  readonly last: boolean
  readonly make?: boolean
}): Way => {
  const base = fs.openSync(`/proc/self/fd/${root}`, O_PATH | O_DIRECTORY)
  const open = [base]
  const current = () => open.at(-1) ?? base
  const leave = (directory: number | undefined) => {
    for (const file of open) if (file !== directory) fs.closeSync(file)
  }
  try {
    let rest = [...partsOf(path)]
    let links = 0
    for (;;) {
      const [name, ...after] = rest
      if (name === undefined || (options.last && after.length === 0 && name !== "..")) {
        const directory = current()
        leave(directory)
        return { directory, name }
      }
      rest = after
      if (name === "..") {
        if (open.length > 1) fs.closeSync(open.pop() ?? base)
        continue
      }
      let file: number
      try {
        file = grasp(current(), name)
      } catch (cause) {
        if (codeOf(cause) !== "ENOENT" || options.make !== true) throw cause
        fs.mkdirSync(at(current(), name), { mode: 0o755 })
        file = grasp(current(), name)
      }
      const found = fs.fstatSync(file)
      if (found.isDirectory()) {
        open.push(file)
        continue
      }
      fs.closeSync(file)
      if (!found.isSymbolicLink()) throw Object.assign(new Error(`${name}: not a directory`), { code: "ENOTDIR" })
      if (!options.links) throw new CopyRefused({ detail: `${path}: ${name} is a link, which is not followed` })
      if (++links > mostLinks) throw new CopyRefused({ detail: `${path}: too many links` })
      const target = fs.readlinkSync(at(current(), name))
      if (target.startsWith("/")) { for (const each of open.splice(1)) fs.closeSync(each) }
      rest = [...partsOf(target), ...rest]
    }
  } catch (cause) {
    leave(undefined)
    throw cause
  }
}
