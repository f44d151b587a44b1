/** The entries of an archive of what is at a path: files, directories and links, in the order of the disk, one at a time. */
import { Effect, Stream } from "effect"
import { Tar } from "effect/encoding"
import * as fs from "node:fs"
import { at, CopyRefused, walk, wordsOf } from "./walk.ts"

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants
const READ_BYTES = 64 * 1024
/** Directories that are open at once. */
const deepest = 512

const replacement = "\uFFFD"

/** Exactly as many bytes as the header says: a file that shrinks meanwhile is filled up, as tar does. */
const bodyOf = (file: number, size: number): Stream.Stream<Uint8Array> =>
  Stream.unfold(0, (offset) =>
    Effect.sync(() => {
      if (offset >= size) return undefined
      const block = Buffer.alloc(Math.min(READ_BYTES, size - offset))
      let read = 0
      try {
        read = fs.readSync(file, block, 0, block.length, offset)
      } catch {
        // A broken disk reads as zeros, and the end of the file does, too.
      }
      return [read === 0 ? block : block.subarray(0, read), offset + (read === 0 ? block.length : read)] as const
    }))

/** `complain` hears of each thing that is left out. */
export function* entriesOf(
  root: number,
  path: string,
  complain: (sentence: string) => void
): Generator<Tar.Entry> {
  const prefix = prefixOf(path)

  function* visit(parent: number, name: string, shown: string, depth: number): Generator<Tar.Entry> {
    const found = fs.lstatSync(at(parent, name))
    const { mtime } = found
    const options = { mode: found.mode & 0o7777, uid: found.uid, gid: found.gid, mtime }
    if (found.isSymbolicLink()) return yield Tar.symlink(shown, fs.readlinkSync(at(parent, name)), options)
    if (found.isFile()) {
      const file = fs.openSync(at(parent, name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
      try {
        const { size } = fs.fstatSync(file)
        yield Tar.fileStream(shown, size, bodyOf(file, size), options)
      } finally {
        fs.closeSync(file)
      }
      return
    }
    if (!found.isDirectory()) return complain(`${shown}: neither a file nor a directory; left out`)
    if (depth >= deepest) return complain(`${shown}: more than ${deepest} directories deep; left out`)
    yield Tar.directory(shown === "" ? "./" : shown, options)
    const inside = walk(parent, name, { links: false, last: false }).directory
    try {
      const listed = fs.opendirSync(`/proc/self/fd/${inside}`)
      try {
        for (let entry = listed.readSync(); entry !== null; entry = listed.readSync()) {
          const below = shown === "" ? entry.name : `${shown}/${entry.name}`
          if (entry.name.includes(replacement)) {
            complain(`${below}: its name is not UTF-8; left out`)
            continue
          }
          try {
            yield* visit(inside, entry.name, below, depth + 1)
          } catch (cause) {
            complain(`${below}: ${wordsOf(cause)}`)
          }
        }
      } finally {
        listed.closeSync()
      }
    } finally {
      fs.closeSync(inside)
    }
  }

  let directory: number | undefined
  try {
    const way = walk(root, path, { links: true, last: true })
    directory = way.directory
    yield* visit(directory, way.name ?? ".", prefix, 0)
  } catch (cause) {
    throw cause instanceof CopyRefused ? cause : new CopyRefused({ detail: `${path}: ${wordsOf(cause)}` })
  } finally {
    if (directory !== undefined) fs.closeSync(directory)
  }
}

/** What tar makes of the path it was given: no `/` in front, no way up. */
const prefixOf = (path: string): string => {
  const parts: Array<string> = []
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue
    if (part === "..") parts.pop()
    else parts.push(part)
  }
  return parts.join("/")
}
