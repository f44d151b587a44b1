/**
 * The place of a subPath below a volume. Links within the volume count (a ConfigMap's files are links), but whatever leads out
 * is refused. Each step is taken from an open directory (`/proc/self/fd`, Linux) without following links, so that a container
 * that swaps a directory for a link meanwhile gains nothing (CVE-2017-1002101). The place is handed on open: its path may lead
 * elsewhere a moment later (CVE-2021-25741).
 */
import * as fs from "node:fs"
import { dirname } from "node:path"
import { codeOf, O_PATH, relativeParts, unsafe } from "./filesystem.ts"

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = fs.constants

/** As many links as Linux follows in one path. */
const mostLinks = 40

const at = (parent: number, name: string) => `/proc/self/fd/${parent}/${name}`
const placeOf = (file: number) => fs.readlinkSync(`/proc/self/fd/${file}`)

const inside = (root: string, path: string) => path === root || path.startsWith(root === "/" ? root : `${root}/`)

/** Opens or makes one part below an open directory; a link is not followed but handed back. */
const step = (
  parent: number,
  name: string,
  mode: number
): { readonly link: string } | { readonly file: number; readonly isDirectory: boolean } => {
  const path = at(parent, name)
  for (let tries = 0; tries < 3; tries++) {
    try {
      const file = fs.openSync(path, O_PATH | O_NOFOLLOW)
      const found = fs.fstatSync(file)
      if (found.isSymbolicLink()) {
        fs.closeSync(file)
        return { link: fs.readlinkSync(path) }
      }
      return { file, isDirectory: found.isDirectory() }
    } catch (cause) {
      if (codeOf(cause) !== "ENOENT") throw cause
    }
    try {
      fs.mkdirSync(path, { mode })
      const made = fs.openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      try {
        fs.fchmodSync(made, mode)
      } finally {
        fs.closeSync(made)
      }
    } catch (cause) {
      if (codeOf(cause) !== "EEXIST") throw cause
    }
  }
  throw unsafe(`${name} changes while it is looked at`)
}

/** Where a link leads, as parts below the root; the kernel's own way would leave the volume without a word. */
const targetParts = (root: string, parent: string, link: string): ReadonlyArray<string> => {
  const parts: Array<string> = link.startsWith("/") ? [] : parent.split("/").filter((part) => part !== "")
  for (const part of link.split("/")) {
    if (part === "" || part === ".") continue
    if (part === "..") parts.pop()
    else parts.push(part)
  }
  const target = `/${parts.join("/")}`
  if (!inside(root, target)) throw unsafe(`a link in the volume leads out of it, to ${target}`)
  return target.slice(root.length).split("/").filter((part) => part !== "")
}

/** `subPath` below `volumePath`, open, and its path at this moment; made with the volume's mode where it is absent. */
export const withSubPath = <A>(
  volumePath: string,
  subPath: string,
  use: (file: number, place: string) => A
): A => {
  let rest = [...relativeParts(subPath)]
  const root = fs.realpathSync(volumePath)
  const base = fs.openSync(root, O_RDONLY | O_DIRECTORY)
  const open = [base]
  try {
    const mode = fs.fstatSync(base).mode & 0o7777
    let links = 0
    while (rest.length > 0) {
      const [name = "", ...after] = rest
      const parent = open.at(-1) ?? base
      const found = step(parent, name, mode)
      if ("link" in found) {
        if (++links > mostLinks) throw unsafe(`${subPath} has too many links`)
        const target = targetParts(root, placeOf(parent), found.link)
        for (const file of open.splice(1)) fs.closeSync(file)
        rest = [...target, ...after]
        continue
      }
      open.push(found.file)
      if (!found.isDirectory && after.length > 0) throw unsafe(`${subPath}: ${name} is not a directory`)
      rest = after
    }
    const found = open.at(-1) ?? base
    const place = placeOf(found)
    if (!inside(root, place)) {
      throw unsafe(`${subPath} was moved out of its volume while it was looked at (${dirname(place)})`)
    }
    return use(found, place)
  } finally {
    for (const file of open) fs.closeSync(file)
  }
}
