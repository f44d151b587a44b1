/**
 * A volume of files that changes as one: real files in a dated directory, `..data` pointing to it and swapped by rename, and
 * what users see as links into `..data` (kubernetes/kubernetes pkg/volume/util/atomic_writer.go describes the layout).
 */
import { randomInt } from "node:crypto"
import * as fs from "node:fs"
import type { VolumeFile } from "../../core/pod/PodAssignment.ts"
import type { MountPoint } from "../../core/pod/PodFiles.ts"
import { directory, lstat, newFile, overwrite, relativeParts, unsafe } from "./filesystem.ts"
import { ownByGroup } from "./fsGroup.ts"

const data = "..data"
const draft = "..data_tmp"

/** `..2026_11_20_23_00_00.123456789`: the instant, and digits that make it one of its kind. */
const datedName = (millis: number): string =>
  `..${new Date(millis).toISOString().slice(0, 19).replaceAll(/[-T:]/g, "_")}.${
    String(randomInt(1e9)).padStart(9, "0")
  }`
const dated = /^\.\.\d{4}(_\d\d){5}\.\d+$/

interface Payload {
  readonly path: string
  readonly parts: ReadonlyArray<string>
  readonly mode: number
  readonly content: Uint8Array
}

const payloadOf = (files: ReadonlyArray<VolumeFile>): ReadonlyArray<Payload> => {
  const byPath = new Map<string, Payload>()
  for (const { content, mode, path } of files) {
    const parts = relativeParts(path)
    const [first] = parts
    if (first === undefined) throw unsafe("a file without a name")
    if (first.startsWith("..")) throw unsafe(`${path}: names that begin with '..' are reserved`)
    byPath.set(parts.join("/"), { path: parts.join("/"), parts, mode, content })
  }
  return [...byPath.values()]
}

/** The dated directory that `..data` points to, if it is one. */
const current = (volume: string): string | undefined => {
  if (!lstat(`${volume}/${data}`)?.isSymbolicLink()) return undefined
  const name = fs.readlinkSync(`${volume}/${data}`)
  return dated.test(name) && lstat(`${volume}/${name}`)?.isDirectory() ? name : undefined
}

/** All files below the current directory with their modes, as they were written; empty for a new volume. */
export const readFiles = (volume: string): ReadonlyArray<VolumeFile> => {
  const name = current(volume)
  if (name === undefined) return []
  const root = `${volume}/${name}`
  return fs.readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const full = `${entry.parentPath}/${entry.name}`
      return {
        path: full.slice(root.length + 1),
        mode: fs.lstatSync(full).mode & 0o7777,
        content: fs.readFileSync(full)
      }
    })
}

/** The group that owns the volume, where fsGroup made it so. */
export const groupOf = (volume: string): number | undefined => {
  const name = current(volume)
  const found = name === undefined ? undefined : lstat(`${volume}/${name}`)
  return found !== undefined && (found.mode & 0o2000) !== 0 ? found.gid : undefined
}

const equalBytes = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0

/** Whether the volume says already what it shall, so that nobody's inotify wakes for nothing. */
const upToDate = (volume: string, payload: ReadonlyArray<Payload>, group: number | undefined): boolean => {
  if (current(volume) === undefined || groupOf(volume) !== group) return false
  const widened = group === undefined ? 0 : 0o440
  const present = new Map(readFiles(volume).map((file) => [file.path, file]))
  return present.size === payload.length && payload.every(({ content, mode, parts, path }) => {
    const file = present.get(path)
    return file !== undefined && file.mode === (mode | widened) && equalBytes(file.content, content) &&
      lstat(`${volume}/${parts[0]}`) !== undefined
  })
}

/** Makes a place below `volume` for something to be mounted on, unless one of its files is in the way. */
export const mountPoint = (volume: string, { kind, path }: MountPoint): void => {
  const parts = relativeParts(path)
  let place = volume
  for (const [index, part] of parts.entries()) {
    place = `${place}/${part}`
    const found = lstat(place)
    if (found !== undefined && !found.isDirectory()) return
    if (found !== undefined) continue
    if (kind === "file" && index === parts.length - 1) newFile(place, new Uint8Array(0), 0o644)
    else directory(place, 0o755)
  }
}

const discard = (path: string, wipe: boolean): void => {
  try {
    if (wipe) overwrite(path)
  } finally {
    fs.rmSync(path, { recursive: true, force: true })
  }
}

/** What a crash left half-made, or had no time to take away: nobody reads it. */
const sweep = (volume: string, wipe: boolean): void => {
  const name = current(volume)
  for (const found of fs.readdirSync(volume)) {
    if (dated.test(found) && found !== name) discard(`${volume}/${found}`, wipe)
  }
}

/**
 * Makes `volume` (an existing directory) hold exactly these files. Readers see the old set or the new one, never a mixture.
 * `wipe` overwrites what was replaced.
 */
export const writeFiles = (
  volume: string,
  files: ReadonlyArray<VolumeFile>,
  options: { readonly now: number; readonly group: number | undefined; readonly wipe: boolean }
): void => {
  const payload = payloadOf(files)
  sweep(volume, options.wipe)
  if (upToDate(volume, payload, options.group)) return
  const next = datedName(options.now)

  try {
    directory(`${volume}/${next}`, 0o755)
    for (const { content, mode, parts } of payload) {
      let parent = `${volume}/${next}`
      for (const part of parts.slice(0, -1)) {
        parent = `${parent}/${part}`
        directory(parent, 0o755)
      }
      newFile(`${parent}/${parts.at(-1)}`, content, mode)
    }
    if (options.group !== undefined) ownByGroup(`${volume}/${next}`, options.group, "readOnly")

    fs.rmSync(`${volume}/${draft}`, { force: true })
    fs.symlinkSync(next, `${volume}/${draft}`)
    fs.renameSync(`${volume}/${draft}`, `${volume}/${data}`)
  } catch (error) {
    try {
      // It is tried again and again, on a disk that may be full of what came to nothing before.
      discard(`${volume}/${next}`, options.wipe)
    } catch {
      // The next try sweeps it.
    }
    throw error
  }

  const visible = new Set(payload.map(({ parts }) => parts[0] ?? ""))
  for (const name of visible) {
    const link = `${volume}/${name}`
    if (lstat(link) === undefined) fs.symlinkSync(`${data}/${name}`, link)
  }
  for (const entry of fs.readdirSync(volume, { withFileTypes: true })) {
    const { name } = entry
    // What is neither dated nor a link is a mount point.
    const stale = dated.test(name) ? name !== next : entry.isSymbolicLink() && !visible.has(name) && name !== data
    if (stale) discard(`${volume}/${name}`, options.wipe)
  }
}
