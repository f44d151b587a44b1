/** Control groups of either version where the device has them and they may be made: limits, usage, and what died for memory. */
import { accessSync, constants, existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { ContainerSpec, Usage } from "../../core/pod/ContainerRuntime.ts"
import { readIfThere } from "./disk.ts"

const FAMILY = "arhat"
const PERIOD = 100_000

export interface Cgroups {
  /** `v2`, `v1` or `none`, for people. */
  readonly version: "v2" | "v1" | "none"
  /** Makes the groups of a container with its limits, and returns their paths for the shim. */
  readonly make: (id: string, resources: ContainerSpec["resources"]) => ReadonlyArray<string>
  /** Where the shims themselves live. */
  readonly home: ReadonlyArray<string>
  readonly members: (id: string) => ReadonlyArray<number>
  readonly usage: (id: string) => Omit<Usage, "containerId" | "at"> | undefined
  readonly oomKilled: (id: string) => boolean
  /** Absent is fine, a group that still has members stays. */
  readonly remove: (id: string) => void
}

const without: Cgroups = {
  version: "none",
  make: () => [],
  home: [],
  members: () => [],
  usage: () => undefined,
  oomKilled: () => false,
  remove: () => {}
}

const number = (text: string | undefined): number | undefined => {
  const value = Number((text ?? "").trim())
  return text === undefined || Number.isNaN(value) ? undefined : value
}

/** A line `key value` of a flat file. */
const entry = (path: string, key: string): number | undefined => {
  const text = readIfThere(path)
  return number(text?.split("\n").find((line) => line.startsWith(`${key} `))?.slice(key.length + 1))
}

const shares = ({ cpuLimit, cpuRequest }: ContainerSpec["resources"]): number =>
  Math.min(262_144, Math.max(2, Math.floor((cpuRequest > 0 ? cpuRequest : cpuLimit) * 1024 / 1000)))

const quota = (millis: number): number => Math.max(1000, Math.floor(millis * PERIOD / 1000))

const folder = (path: string): string => {
  mkdirSync(path, { recursive: true })
  return path
}

const writable = (path: string): boolean => {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

export const detectCgroups = (root: string): Cgroups => {
  try {
    if (existsSync(join(root, "cgroup.controllers"))) return writable(root) ? unified(root) : without
    if (existsSync(join(root, "memory", "cgroup.procs"))) {
      return writable(join(root, "memory")) ? separate(root) : without
    }
  } catch {
    // A hierarchy that looks writable and is not (a container without delegation): processes run without limits, and `info` says so.
  }
  return without
}

const unified = (root: string): Cgroups => {
  const family = folder(join(root, FAMILY))
  for (const parent of [root, family]) writeFileSync(join(parent, "cgroup.subtree_control"), "+cpu +memory +pids")
  const home = folder(join(family, "shims"))
  const of = (id: string) => join(family, id)
  return {
    version: "v2",
    home: [home],
    make: (id, resources) => {
      const path = folder(of(id))
      // Shares 2..262144 become weights 1..10000, as container runtimes convert them.
      writeFileSync(join(path, "cpu.weight"), `${Math.floor(1 + (shares(resources) - 2) * 9999 / 262_142)}`)
      if (resources.cpuLimit > 0) writeFileSync(join(path, "cpu.max"), `${quota(resources.cpuLimit)} ${PERIOD}`)
      if (resources.memoryLimit > 0) {
        writeFileSync(join(path, "memory.max"), `${resources.memoryLimit}`)
        writeFileSync(join(path, "memory.oom.group"), "1")
        if (existsSync(join(path, "memory.swap.max"))) writeFileSync(join(path, "memory.swap.max"), "0")
      }
      return [path]
    },
    members: (id) => pids(join(of(id), "cgroup.procs")),
    usage: (id) => {
      const cpu = entry(join(of(id), "cpu.stat"), "usage_usec")
      const memory = number(readIfThere(join(of(id), "memory.current")))
      if (cpu === undefined || memory === undefined) return undefined
      const stat = join(of(id), "memory.stat")
      return {
        cpuNanoseconds: cpu * 1000,
        memoryUsedBytes: memory,
        memoryWorkingSetBytes: Math.max(0, memory - (entry(stat, "inactive_file") ?? 0)),
        memoryRssBytes: entry(stat, "anon") ?? 0
      }
    },
    oomKilled: (id) => (entry(join(of(id), "memory.events"), "oom_kill") ?? 0) > 0,
    remove: (id) => removeQuietly(of(id))
  }
}

const separate = (root: string): Cgroups => {
  const controllers = ["memory", "cpu", "cpuacct", "pids"]
    .filter((name) => existsSync(join(root, name, "cgroup.procs")) && writable(join(root, name)))
  const of = (controller: string, id: string) => join(root, controller, FAMILY, id)
  const home = controllers.map((controller) => folder(of(controller, "shims")))
  return {
    version: "v1",
    home,
    make: (id, resources) =>
      controllers.map((controller) => {
        const path = folder(of(controller, id))
        if (controller === "memory" && resources.memoryLimit > 0) {
          writeFileSync(join(path, "memory.limit_in_bytes"), `${resources.memoryLimit}`)
        }
        if (controller === "cpu") {
          writeFileSync(join(path, "cpu.shares"), `${shares(resources)}`)
          if (resources.cpuLimit > 0) {
            writeFileSync(join(path, "cpu.cfs_period_us"), `${PERIOD}`)
            writeFileSync(join(path, "cpu.cfs_quota_us"), `${quota(resources.cpuLimit)}`)
          }
        }
        return path
      }),
    members: (id) => pids(join(of("memory", id), "cgroup.procs")),
    usage: (id) => {
      const cpu = number(readIfThere(join(of("cpuacct", id), "cpuacct.usage")))
      const memory = number(readIfThere(join(of("memory", id), "memory.usage_in_bytes")))
      if (cpu === undefined || memory === undefined) return undefined
      const stat = join(of("memory", id), "memory.stat")
      return {
        cpuNanoseconds: cpu,
        memoryUsedBytes: memory,
        memoryWorkingSetBytes: Math.max(0, memory - (entry(stat, "total_inactive_file") ?? 0)),
        memoryRssBytes: entry(stat, "total_rss") ?? 0
      }
    },
    oomKilled: (id) => (entry(join(of("memory", id), "memory.oom_control"), "oom_kill") ?? 0) > 0,
    remove: (id) => {
      for (const controller of controllers) removeQuietly(of(controller, id))
    }
  }
}

const pids = (path: string): ReadonlyArray<number> =>
  (readIfThere(path) ?? "").split("\n").filter((line) => line !== "").map(Number)

const removeQuietly = (path: string): void => {
  try {
    rmdirSync(path)
  } catch {
    // Gone already, or a process of it has not been reaped yet; an empty group costs next to nothing.
  }
}
