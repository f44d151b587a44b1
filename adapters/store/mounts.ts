/** Mounts: memory-backed directories and held places where this process may mount, and the end of both. */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { FilesError } from "../../core/pod/PodFiles.ts"

/** Octal escapes are how mountinfo writes blanks in paths (proc_pid_mountinfo(5)). */
const unescaped = (path: string) =>
  path.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))

/** Mount points at or below a path, deepest last mounted first. */
export const mountsBelow = (path: string): ReadonlyArray<string> =>
  fs.readFileSync("/proc/self/mountinfo", "utf8").split("\n")
    .map((line) => unescaped(line.split(" ")[4] ?? ""))
    .filter((point) => point === path || point.startsWith(`${path}/`))
    .reverse()

/** From statfs(2): what lies there never reaches a disk (but for swap). */
const memoryTypes = new Set([0x01021994, 0x858458f6])

export const isMemoryBacked = (path: string): boolean => memoryTypes.has(fs.statfsSync(path).type)

/** Undefined on success, else why not. The program has `files` open as 3, 4... */
const mount = (args: ReadonlyArray<string>, ...files: ReadonlyArray<number>): string | undefined => {
  const { error, status, stderr } = spawnSync("mount", args, {
    encoding: "utf8",
    timeout: 10_000,
    stdio: ["ignore", "ignore", "pipe", ...files]
  })
  return status === 0 ? undefined : error?.message ?? stderr.trim()
}

/**
 * Mounts what is open as `file` on `point`, wherever its path leads by now. Undefined on success, else why not. Private: what the
 * device mounts below it later is not to be unmounted with it.
 */
export const mountOpen = (file: number, point: string): string | undefined =>
  mount(["--no-canonicalize", "--bind", "--make-private", "/proc/self/fd/3", point], file)

/** Mounts a tmpfs on an existing directory. Undefined on success, else why not. Mounted already is success. */
export const mountMemory = (
  path: string,
  options: { readonly mode: number; readonly bytes?: number | undefined; readonly execute: boolean }
): string | undefined => {
  if (mountsBelow(path).includes(path)) return undefined
  const settings = [
    `mode=${options.mode.toString(8)}`,
    "nodev",
    "nosuid",
    ...(options.execute ? [] : ["noexec"]),
    ...(options.bytes === undefined ? [] : [`size=${options.bytes}`])
  ]
  return mount(["-t", "tmpfs", "-o", settings.join(","), "arhat", path])
}

/** Takes away every mount at or below a path; a busy one goes lazily, when its last user does. */
export const unmountBelow = (path: string): void => {
  for (const point of mountsBelow(path)) {
    const { status, stderr } = spawnSync("umount", ["-l", point], { encoding: "utf8", timeout: 10_000 })
    if (status !== 0) {
      throw new FilesError({ reason: "Failed", detail: `cannot unmount ${point}: ${(stderr ?? "").trim()}` })
    }
  }
  const [left] = mountsBelow(path)
  if (left !== undefined) throw new FilesError({ reason: "Failed", detail: `${left} is still mounted` })
}
