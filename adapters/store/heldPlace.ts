/**
 * An open place held at a path that only arhat can change. Runtimes take paths, and look them up again long after they were checked;
 * what a container can rename or link meanwhile must not decide what they find.
 */
import * as fs from "node:fs"
import { FilesError } from "../../core/pod/PodFiles.ts"
import { directory, lstat, newFile } from "./filesystem.ts"
import { mountOpen, mountsBelow, unmountBelow } from "./mounts.ts"

const { O_DIRECTORY, O_RDONLY } = fs.constants

/** Why no place can be held on this device, if so; tried with `probe`, a directory of our own. */
export const whyNotHeld = (probe: string): string | undefined => {
  if (process.getuid?.() !== 0) return "arhat does not run as root"
  directory(probe, 0o700)
  const file = fs.openSync(probe, O_RDONLY | O_DIRECTORY)
  try {
    return mountOpen(file, probe)
  } finally {
    fs.closeSync(file)
    unmountBelow(probe)
  }
}

/** Makes `point`, whose parent exists, what is open as `file`. One that is so already stays: a start may be looking at it. */
export const holdPlace = (file: number, point: string): void => {
  const wanted = fs.fstatSync(file)
  if (mountsBelow(point).includes(point)) {
    const held = fs.statSync(point)
    if (held.dev === wanted.dev && held.ino === wanted.ino) return
  }
  unmountBelow(point)
  if (lstat(point) !== undefined) fs.rmSync(point, { recursive: true })
  if (wanted.isDirectory()) directory(point, 0o700)
  else newFile(point, new Uint8Array(), 0o600)
  const refusal = mountOpen(file, point)
  if (refusal !== undefined) throw new FilesError({ reason: "Failed", detail: `cannot mount ${point}: ${refusal}` })
}
