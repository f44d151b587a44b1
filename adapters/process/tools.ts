/** The programs of the device that process pods need, found once, by absolute path. */
import { accessSync, constants, statSync } from "node:fs"
import { join } from "node:path"
import { RuntimeError } from "../../core/pod/ContainerRuntime.ts"

/** Where system tools are; never the PATH of whoever started arhat. */
export const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const ALWAYS = ["sh", "setsid", "env", "dd", "stat", "mkfifo", "ln", "mv", "rm", "sleep", "mkdir"] as const
const AS_ROOT = ["setpriv", "unshare", "nsenter", "mount", "chroot", "touch"] as const

export type Tool = (typeof ALWAYS)[number] | (typeof AS_ROOT)[number] | "tar" | "sync"

export interface Tools {
  readonly path: (tool: Tool) => string
  /** The sentence about what is missing, or undefined. */
  readonly missing: string | undefined
}

export const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** Its absolute path, where the device has it. */
export const findProgram = (name: string): string | undefined =>
  SYSTEM_PATH.split(":").map((folder) => join(folder, name)).find(isExecutable)

export const findTools = (root: boolean): Tools => {
  const missing = [...ALWAYS, ...(root ? AS_ROOT : [])].filter((name) => findProgram(name) === undefined)
  return {
    path: (tool) => findProgram(tool) ?? tool,
    missing: missing.length === 0
      ? undefined
      : `process pods need ${missing.join(", ")} (util-linux and coreutils), which this device does not have`
  }
}

export const unsupported = (detail: string): RuntimeError => new RuntimeError({ reason: "Unsupported", detail })
