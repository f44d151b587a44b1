/**
 * Shows what lies below a folder of logs: a file's bytes, or a directory's names. Runs in the process that `copyFiles` makes, already
 * held to the owner's root, group and user. Links are followed within the folder, never out of it.
 */
import * as fs from "node:fs"
import { at, codeOf, CopyRefused, partsOf, walk } from "./walk.ts"

const { O_NOFOLLOW, O_RDONLY } = fs.constants
/** Linux; names a place without opening what is there. */
const O_PATH = 0o10000000

/** Bytes of a file that are shown, its last: whoever asks may pay for each of them. */
export const mostLogBytes = 16 * 1024 * 1024
/** Names of a directory that are shown. */
export const mostLogNames = 10_000
/** Links in place of the last part of a path; the ones before are counted by `walk`. */
const mostLinks = 8

/** The first byte that is written: what has been found. */
export const foundDirectory = 0x64
export const foundFile = 0x66

/** What is not there; exit codes tell it from what is refused. */
export const missingCode = 3

export class LogMissing extends CopyRefused {}

const READ_BYTES = 64 * 1024

/** An open file that names what is at the path, and neither a link nor opened for reading. */
const locate = (folder: number, path: string, shown: string): number => {
  let parts = partsOf(path)
  for (let links = 0; links <= mostLinks; links++) {
    const { directory, name } = walk(folder, parts.join("/"), { links: true, last: true })
    try {
      if (name === undefined) return fs.openSync(`/proc/self/fd/${directory}`, O_PATH)
      const file = fs.openSync(at(directory, name), O_PATH | O_NOFOLLOW)
      if (!fs.fstatSync(file).isSymbolicLink()) return file
      fs.closeSync(file)
      const target = fs.readlinkSync(at(directory, name))
      parts = [...(target.startsWith("/") ? [] : parts.slice(0, -1)), ...partsOf(target)]
    } finally {
      fs.closeSync(directory)
    }
  }
  throw new CopyRefused({ detail: `${shown}: too many links` })
}

/** Sorted, as a kubelet's; a name that is not UTF-8 could not be asked for. */
const namesIn = (directory: number): Buffer => {
  const listed = fs.opendirSync(`/proc/self/fd/${directory}`)
  const names: Array<string> = []
  let more = false
  try {
    for (let entry = listed.readSync(); entry !== null; entry = listed.readSync()) {
      if (entry.name.includes("\uFFFD")) continue
      more = names.length >= mostLogNames
      if (more) break
      names.push(entry.isDirectory() ? `${entry.name}/` : entry.name)
    }
  } finally {
    listed.closeSync()
  }
  return Buffer.from([...names.sort(), ...(more ? [""] : [])].map((name) => `${name}\0`).join(""))
}

/** From the last bytes on that may be shown, to the end that it has now. */
function* bytesOf(file: number): Generator<Uint8Array> {
  const { size } = fs.fstatSync(file)
  let offset = Math.max(0, size - mostLogBytes)
  yield Buffer.from([foundFile])
  if (offset > 0) yield Buffer.from(`arhat: the last ${mostLogBytes} of ${size} bytes follow\n`)
  while (offset < size) {
    const block = Buffer.alloc(Math.min(READ_BYTES, size - offset))
    const read = fs.readSync(file, block, 0, block.length, offset)
    // It was cut meanwhile.
    if (read === 0) return
    yield block.subarray(0, read)
    offset += read
  }
}

/** What is at a path below the folder: first one byte that says what it is. */
export function* logFile(root: number, folder: string, path: string): Generator<Uint8Array> {
  const shown = path === "" ? folder : `${folder}/${path}`
  let base: number | undefined
  let found: number | undefined
  try {
    base = walk(root, folder, { links: true, last: false }).directory
    found = locate(base, path, shown)
    const stat = fs.fstatSync(found)
    if (stat.isDirectory()) {
      yield Buffer.from([foundDirectory])
      yield namesIn(found)
    } else if (stat.isFile()) {
      // The very file that was looked at, whatever has the name by now.
      const file = fs.openSync(`/proc/self/fd/${found}`, O_RDONLY)
      try {
        yield* bytesOf(file)
      } finally {
        fs.closeSync(file)
      }
    } else throw new CopyRefused({ detail: `${shown} is neither a file nor a directory` })
  } catch (cause) {
    switch (codeOf(cause)) {
      case "ENOENT":
      case "ENOTDIR":
        throw new LogMissing({ detail: `${shown} does not exist on the device` })
      case "EACCES":
        throw new CopyRefused({ detail: `${shown} may not be read by the user it is read as: see arhat.host.uid` })
      default:
        throw cause
    }
  } finally {
    for (const file of [found, base]) if (file !== undefined) fs.closeSync(file)
  }
}
