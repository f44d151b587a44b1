/** Host paths: checked, or made where their type says so, with the texts of the kubelet. */
import * as fs from "node:fs"
import type { AssignedVolume } from "../../core/pod/PodAssignment.ts"
import { FilesError } from "../../core/pod/PodFiles.ts"
import { codeOf, unsafe } from "./filesystem.ts"

type HostPath = Extract<AssignedVolume, { readonly _tag: "HostPath" }>

const is: Readonly<Record<Exclude<HostPath["type"], "">, readonly [what: string, test: (found: fs.Stats) => boolean]>> =
  {
    Directory: ["a directory", (found) => found.isDirectory()],
    DirectoryOrCreate: ["a directory", (found) => found.isDirectory()],
    File: ["a file", (found) => found.isFile()],
    FileOrCreate: ["a file", (found) => found.isFile()],
    Socket: ["a socket file", (found) => found.isSocket()],
    CharDevice: ["a character device", (found) => found.isCharacterDevice()],
    BlockDevice: ["a block device", (found) => found.isBlockDevice()]
  }

/** A link that leads nowhere counts; what arhat may not look at is left to the runtime, which may. */
const isAbsent = (path: string): boolean => {
  try {
    return fs.statSync(path, { throwIfNoEntry: false }) === undefined
  } catch {
    return false
  }
}

/** Makes what is absent; whoever makes it meanwhile is welcome. Without a type a directory, as the runtimes of other nodes do. */
const createFor = ({ path, type }: HostPath): void => {
  if (type === "" || type === "DirectoryOrCreate") fs.mkdirSync(path, { recursive: true, mode: 0o755 })
  if (type !== "FileOrCreate") return
  try {
    fs.closeSync(fs.openSync(path, "wx", 0o644))
  } catch (cause) {
    if (codeOf(cause) !== "EEXIST") throw cause
  }
}

export const hostPath = (volume: HostPath): string => {
  const { path, type } = volume
  if (!path.startsWith("/") || path.split("/").includes("..") || path.includes("\0")) {
    throw unsafe(`host path ${JSON.stringify(path.slice(0, 128))} must be absolute and must not contain '..'`)
  }
  if (isAbsent(path)) createFor(volume)
  if (type === "") return path
  const [what, test] = is[type]
  // The owner of the device may well have put a link there: that is followed, as the kubelet does.
  const found = fs.statSync(path, { throwIfNoEntry: false })
  if (found === undefined || !test(found)) {
    throw new FilesError({ reason: "WrongType", detail: `hostPath type check failed: ${path} is not ${what}` })
  }
  return path
}
