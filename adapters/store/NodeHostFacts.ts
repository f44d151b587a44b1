/** What a Linux device knows of itself, from /proc, /sys, /etc and its file systems. What cannot be read is empty. */
import { Clock, Effect, Layer } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import { HostFacts, type HostInfo, type HostPressure } from "../../core/agent/HostFacts.ts"
import { hostUsage } from "./hostUsage.ts"
import { machineEnding } from "./machineEnding.ts"

export interface NodeHostFactsOptions {
  /** Where pods' files lie: its file system is the device's storage. */
  readonly storage: string
  /** Before /proc, /sys and /etc: the host's root where arhat itself runs in a container. */
  readonly hostRoot?: string
  /** Tells whether the machine goes down; `systemctl` of the PATH if absent. */
  readonly systemctl?: string
}

/** A kubelet's hard eviction thresholds: 100 MiB, 10 % of the space and 5 % of the inodes of nodefs; and a tenth of the pids. */
const least = { memoryBytes: 100 * 1024 * 1024, disk: 0.1, inodes: 0.05, pids: 0.1 } as const

/** Node's words to GOARCH's. */
const architectures: Readonly<Record<string, string>> = {
  x64: "amd64",
  ia32: "386",
  mipsel: "mipsle",
  ppc64: "ppc64le"
}

const textOf = (path: string): string => {
  try {
    return fs.readFileSync(path, "utf8").trim()
  } catch {
    // Absent on this device, or root's alone: the fact stays unknown.
    return ""
  }
}

/** `PRETTY_NAME` of os-release(5). */
const prettyName = (osRelease: string): string =>
  /^PRETTY_NAME=(?:"([^"]*)"|'([^']*)'|(\S*))$/m.exec(osRelease)?.slice(1).find((name) => name !== undefined) ?? ""

/**
 * Bridges and veth pairs that runtimes of containers and machines make lead nowhere from outside. Names as these give them alone:
 * a bridge of the owner's, such as `br-lan`, may be all that the device is reached by.
 */
const ofContainers =
  /^(docker\d+|docker_gwbridge|br-[0-9a-f]{12}|veth.*|cni\d+|cni-podman\d+|virbr\d+(-nic)?|podman\d+)$/

const isBridge = (name: string, read = textOf): boolean => read(`/sys/class/net/${name}/bridge/bridge_id`) !== ""

/** Whether a network interface leads out of the device, by its name. */
export const leadsOut = (name: string): boolean => !ofContainers.test(name)

/** Those of bridges last: one with a name of its own may still be containers' only. */
const addresses = (): ReadonlyArray<string> =>
  Object.entries(os.networkInterfaces())
    .filter(([name]) => leadsOut(name))
    .toSorted(([a], [b]) => Number(isBridge(a)) - Number(isBridge(b)))
    .flatMap(([, all]) => all ?? [])
    .filter(({ address, internal }) => !internal && !address.toLowerCase().startsWith("fe80:"))
    .map(({ address, family }) => ({ address, family }))
    .toSorted((a, b) => a.family.localeCompare(b.family))
    .map(({ address }) => address)

/** The file system of a path, or of the nearest parent that exists. */
const fileSystem = (path: string): fs.StatsFs | undefined => {
  try {
    return fs.statfsSync(path)
  } catch {
    // Not made yet: the parent is on the same disk.
    return path === "/" || path === "" ? undefined : fileSystem(path.slice(0, path.lastIndexOf("/")) || "/")
  }
}

const infoOf = ({ hostRoot = "", storage }: NodeHostFactsOptions): HostInfo => {
  const disk = fileSystem(storage)
  return {
    machineId: textOf(`${hostRoot}/etc/machine-id`) || textOf(`${hostRoot}/var/lib/dbus/machine-id`),
    systemUuid: textOf(`${hostRoot}/sys/class/dmi/id/product_uuid`).toLowerCase() ||
      textOf(`${hostRoot}/proc/device-tree/serial-number`).replaceAll("\0", ""),
    bootId: textOf(`${hostRoot}/proc/sys/kernel/random/boot_id`),
    kernelVersion: os.release(),
    osImage: prettyName(textOf(`${hostRoot}/etc/os-release`) || textOf(`${hostRoot}/usr/lib/os-release`)),
    operatingSystem: os.platform(),
    architecture: architectures[os.arch()] ?? os.arch(),
    hostname: os.hostname(),
    cpuMillis: os.cpus().length * 1000,
    memoryBytes: os.totalmem(),
    storageBytes: disk === undefined ? 0 : disk.bsize * disk.blocks,
    addresses: addresses()
  }
}

const numberIn = (text: string, pattern: RegExp): number | undefined => {
  const found = pattern.exec(text)?.[1]
  return found === undefined ? undefined : Number(found)
}

const pressureOf = ({ hostRoot = "", storage }: NodeHostFactsOptions): HostPressure => {
  const kibibytes = numberIn(textOf(`${hostRoot}/proc/meminfo`), /^MemAvailable:\s+(\d+) kB$/m)
  const disk = fileSystem(storage)
  const pids = numberIn(textOf(`${hostRoot}/proc/sys/kernel/pid_max`), /^(\d+)$/)
  const running = numberIn(textOf(`${hostRoot}/proc/loadavg`), /\d+\/(\d+) \d+$/)
  return {
    memory: kibibytes !== undefined && kibibytes * 1024 < least.memoryBytes,
    // Some file systems (btrfs) have no fixed number of inodes and say 0.
    disk: disk !== undefined &&
      (disk.bavail < disk.blocks * least.disk || (disk.files > 0 && disk.ffree < disk.files * least.inodes)),
    pids: pids !== undefined && running !== undefined && pids - running < pids * least.pids
  }
}

export const NodeHostFacts = {
  layer: (options: NodeHostFactsOptions): Layer.Layer<HostFacts> =>
    Layer.succeed(
      HostFacts,
      HostFacts.of({
        info: Effect.sync(() => infoOf(options)),
        pressure: Effect.sync(() => pressureOf(options)),
        ending: machineEnding(options.systemctl ?? "systemctl"),
        usage: Effect.map(Clock.currentTimeMillis, (now) => {
          const read = (path: string) => textOf(`${options.hostRoot ?? ""}${path}`)
          return hostUsage(read, {
            disk: fileSystem(options.storage),
            now,
            // What passes a bridge is counted where it enters or leaves.
            counted: (name) => leadsOut(name) && !isBridge(name, read)
          })
        })
      })
    )
}
