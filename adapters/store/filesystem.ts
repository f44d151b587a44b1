/** Steps on the file system that never follow a link, and how their failures are told. */
import { Effect } from "effect"
import * as fs from "node:fs"
import { FilesError } from "../../core/pod/PodFiles.ts"

export const unsafe = (detail: string) => new FilesError({ reason: "Unsafe", detail })

export const codeOf = (cause: unknown): string | undefined => (cause as NodeJS.ErrnoException | undefined)?.code

/** What the disk says, as a FilesError; a FilesError thrown within stays itself. */
export const onDisk = <A>(work: () => A): Effect.Effect<A, FilesError> =>
  Effect.try({
    try: work,
    catch: (cause) =>
      cause instanceof FilesError
        ? cause
        : new FilesError({ reason: "Failed", detail: cause instanceof Error ? cause.message : String(cause) })
  })

/** One part of a path: no separator, no way up, and short enough for every file system. */
export const segment = (name: string): string => {
  if (name === "" || name === "." || name === ".." || name.length > 255 || /[/\0]/.test(name)) {
    throw unsafe(`${JSON.stringify(name.slice(0, 64))} is no name of a file`)
  }
  return name
}

/** The parts of a relative path that stays below where it starts. */
export const relativeParts = (path: string): ReadonlyArray<string> => {
  if (path.startsWith("/")) throw unsafe(`${path} must be a relative path`)
  return path.split("/").filter((part) => part !== "" && part !== ".").map((part) => {
    if (part === "..") throw unsafe(`${path} must not contain '..'`)
    return segment(part)
  })
}

/** Undefined where nothing is. */
export const lstat = (path: string): fs.Stats | undefined => fs.lstatSync(path, { throwIfNoEntry: false })

/** Makes a directory with exactly this mode, or takes the one that is there. A link in its place is refused. */
export const directory = (path: string, mode: number): void => {
  try {
    fs.mkdirSync(path, { mode })
    fs.chmodSync(path, mode)
  } catch (cause) {
    if (codeOf(cause) !== "EEXIST") throw cause
    if (!lstat(path)?.isDirectory()) throw unsafe(`${path} is not a directory`)
  }
}

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = fs.constants
/** Linux; names a place without opening what is there. Node has no constant for it. */
export const O_PATH = 0o10000000

/** Writes a new file with exactly this mode, whatever the umask. */
export const newFile = (path: string, content: Uint8Array, mode: number): void => {
  const file = fs.openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
  try {
    fs.writeFileSync(file, content)
    fs.fchmodSync(file, mode)
  } finally {
    fs.closeSync(file)
  }
}

/**
 * Overwrites every regular file below with zeros: on the spot, which is all that a plain disk allows. Links are not followed, also
 * not those that a container puts there meanwhile: each step is taken from what is open.
 */
export const overwrite = (path: string): void => {
  if (lstat(path) === undefined) return
  const place = fs.openSync(path, O_PATH | O_NOFOLLOW)
  try {
    const here = `/proc/self/fd/${place}`
    const found = fs.fstatSync(place)
    if (found.isDirectory()) {
      for (const name of fs.readdirSync(here)) overwrite(`${here}/${name}`)
    } else if (found.isFile() && mayOverwrite(found)) {
      // A Secret's own mode may keep its owner from writing.
      fs.chmodSync(here, 0o600)
      zero(here, found.size)
    }
  } finally {
    fs.closeSync(place)
  }
}

/** What is another user's is nothing that arhat wrote. */
const mayOverwrite = ({ uid }: fs.Stats): boolean => [0, uid].includes(process.geteuid?.() ?? 0)

const zero = (path: string, size: number): void => {
  const file = fs.openSync(path, O_WRONLY)
  try {
    const zeros = new Uint8Array(Math.min(size, 64 * 1024))
    for (let at = 0; at < size; at += zeros.length) {
      fs.writeSync(file, zeros, 0, Math.min(zeros.length, size - at), at)
    }
    fs.fdatasyncSync(file)
  } finally {
    fs.closeSync(file)
  }
}
