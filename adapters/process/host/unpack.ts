/**
 * Puts the entries of an archive below a directory, and nowhere else: names that lead out of it end the whole work, links on the
 * way are not followed, what is there is replaced and never written through.
 */
import { Effect, Stream } from "effect"
import type { Tar } from "effect/encoding"
import * as fs from "node:fs"
import { at, attempt, codeOf, CopyFailed, type CopyProblem, CopyRefused, partsOf, walk } from "./walk.ts"

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = fs.constants

/** Neither setuid nor setgid nor sticky comes from outside. */
const permissions = 0o777
/** What is taken from strangers' permissions, as tar does for everybody but root. */
const umask = 0o022

/** Where an entry goes, or why it goes nowhere. */
const checked = (name: string): ReadonlyArray<string> => {
  if (name.startsWith("/")) throw new CopyRefused({ detail: `${name}: an absolute name leads out of the directory` })
  const parts = partsOf(name)
  if (parts.includes("..")) throw new CopyRefused({ detail: `${name}: ".." leads out of the directory` })
  return parts
}

const removeIfThere = (path: string) => {
  try {
    fs.unlinkSync(path)
  } catch (cause) {
    if (codeOf(cause) !== "ENOENT") throw cause
  }
}

const writeAll = (file: number, bytes: Uint8Array) => {
  for (let written = 0; written < bytes.length;) written += fs.writeSync(file, bytes, written)
}

/** Fails with `CopyRefused` where nothing more of this archive is to be trusted. */
export const unpackEntry = Effect.fnUntraced(function*(
  directory: number,
  { body, header }: Tar.Entry<Tar.TarError | CopyProblem>,
  preserve: boolean
) {
  const parts = yield* attempt(() => checked(header.path))
  const mode = header.mode & permissions & (preserve ? permissions : ~umask)
  const name = parts.at(-1)
  if (name === undefined) return
  const parent = yield* Effect.acquireRelease(
    attempt(() => walk(directory, parts.slice(0, -1).join("/"), { links: false, last: false, make: true }).directory),
    (opened) => Effect.sync(() => fs.closeSync(opened))
  )
  const path = at(parent, name)
  switch (header.type) {
    case "Directory":
      return yield* attempt(() => {
        try {
          fs.mkdirSync(path, { mode: 0o700 })
        } catch (cause) {
          if (codeOf(cause) !== "EEXIST") throw cause
          if (!fs.lstatSync(path).isDirectory()) throw cause
          return
        }
        const made = walk(parent, name, { links: false, last: false }).directory
        try {
          // The owner can always put something in and take it away again.
          fs.chmodSync(`/proc/self/fd/${made}`, mode | 0o700)
        } finally {
          fs.closeSync(made)
        }
      })
    case "Symlink":
      return yield* attempt(() => {
        removeIfThere(path)
        fs.symlinkSync(header.linkTarget ?? "", path)
      })
    case "File": {
      const file = yield* Effect.acquireRelease(
        attempt(() => {
          removeIfThere(path)
          return fs.openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
        }),
        (opened) => Effect.sync(() => fs.closeSync(opened))
      )
      yield* Stream.runForEach(body, (bytes) => attempt(() => writeAll(file, bytes)))
      return yield* attempt(() => fs.fchmodSync(file, mode))
    }
    default:
      return yield* new CopyFailed({ detail: `a ${header.type} is not unpacked` })
  }
}, Effect.scoped)
